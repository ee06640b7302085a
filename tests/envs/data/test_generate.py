import dataclasses
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import data, registry
from envs.data import KINDS, generate, load
from envs.data.recipe import EXPERT, REFERENCE, kind
from envs.judge import Judge
from mpo.errors import RequestError
from tests.refusals import Meant, refusal


def whole(plan, size=40):
    parts = list(generate.chunks(plan.task, plan.recipe, plan.agents, size))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_casts_every_response(name):
    cast = kind(name).cast(jax.random.key(0), 40, 3)
    assert cast.shape == (40, 3)
    assert set(np.unique(cast)) == {EXPERT, REFERENCE}


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 1280, 5120])
def test_shuffled_mixes_in_exact_proportions(rows):
    cast = kind("shuffled").cast(jax.random.key(1), rows, 2)
    met = Counter(map(tuple, np.sort(cast, axis=1).tolist()))
    quarter = rows // 4
    expected = {(0, 0): quarter, (1, 1): quarter, (0, 1): rows - 2 * quarter}
    assert met == Counter({who: n for who, n in expected.items() if n})


def test_shuffled_is_in_random_order():
    alone = np.ptp(kind("shuffled").cast(jax.random.key(1), 1000, 2), axis=1) == 0
    changes = np.mean(alone[1:] != alone[:-1])
    assert changes == pytest.approx(0.5, abs=0.07)


def test_an_unknown_kind_is_refused():
    with refusal(Meant("noisy")):
        kind("noisey")


@pytest.mark.parametrize("size", [1, 7, 40])
@pytest.mark.slow
def test_rows_do_not_depend_on_the_size_of_chunks(planned, size):
    plan = planned("shuffled", judge=Judge(1.0, 0.3))
    expected, got = whole(plan, 13), whole(plan, size)
    assert expected.keys() == got.keys()
    for name in expected:
        np.testing.assert_array_equal(expected[name], got[name], err_msg=name)


def test_the_same_recipe_gives_the_same_numbers_and_another_seed_others(planned):
    first, again, other = (whole(planned(rows=80, seed=seed)) for seed in (3, 3, 4))
    for name in ("inputs", "outputs", "reward", "agent"):
        np.testing.assert_array_equal(first[name], again[name])
    assert not np.any(first["outputs"][:, :, 0] == other["outputs"][:, :, 0])


def test_responses_of_a_row_share_their_start_and_nothing_else(planned):
    made = whole(planned(rows=80, responses=3))
    first = made["inputs"][:, :, 0]
    np.testing.assert_array_equal(first, np.broadcast_to(first[:, :1], first.shape))
    np.testing.assert_array_equal(first[:, 0], made["start.0"])
    assert len(np.unique(first[:, 0], axis=0)) == 80
    assert len(np.unique(made["outputs"][:, :, 0])) == 80 * 3


def test_responses_are_those_of_the_task(planned, ledge):
    """A row can be made again by hand, from its start, its agents and their keys."""
    plan = planned(judge=Judge(None))
    made = whole(plan)
    root = jax.random.split(jax.random.key(0))[1]
    start_key, _, *keys = jax.random.split(jax.random.fold_in(root, 17), 4)
    start = ledge.start(start_key)
    by_hand = [ledge.respond(p, start, k) for p, k in zip(plan.agents, keys, strict=True)]
    by_hand.sort(key=lambda response: -response.total)
    np.testing.assert_allclose(made["reward"][17], [r.total for r in by_hand], rtol=1e-6)
    np.testing.assert_array_equal(made["length"][17], [r.length for r in by_hand])
    np.testing.assert_allclose(made["outputs"][17], [r.outputs for r in by_hand], rtol=1e-6)


def test_a_perfect_judge_puts_the_best_first_and_a_contrary_one_last(planned):
    assert np.all(np.diff(whole(planned(judge=Judge(None), responses=3))["reward"]) <= 0)
    assert np.all(np.diff(whole(planned(judge=Judge(None, 1.0), responses=3))["reward"]) >= 0)


def test_every_field_of_a_response_moves_with_it(planned):
    """However the judge ranks, a row holds the same responses, each with all that is its own."""
    ranked, reversed_ = (whole(planned(judge=Judge(None, flip))) for flip in (0.0, 1.0))
    for name in ("inputs", "outputs", "length", "reward", "agent"):
        np.testing.assert_array_equal(ranked[name], reversed_[name][:, ::-1], err_msg=name)
    np.testing.assert_array_equal(ranked["start.0"], reversed_["start.0"])


@pytest.mark.parametrize("flip", [0.0, 0.1, 0.4])
def test_flips_have_their_rate(planned, flip):
    reward = whole(planned(rows=2000, judge=Judge(None, flip)))["reward"]
    wrong = np.mean(reward[:, 0] < reward[:, 1])
    assert abs(wrong - flip) <= 4 * np.sqrt(flip * (1 - flip) / 2000)


@pytest.mark.parametrize("eta", [0.3, 1.0, 5.0])
def test_labels_are_right_as_often_as_they_should_be(planned, eta):
    judge = Judge(eta, 0.1)
    reward = whole(planned(rows=2000, judge=judge))["reward"]
    expected = judge.prefers(reward.max(axis=1), reward.min(axis=1))
    deviation = np.sqrt(np.sum(expected * (1 - expected)))
    right = np.sum(reward[:, 0] > reward[:, 1])
    assert abs(right - np.sum(expected)) <= 4 * deviation


def test_the_layout_is_known_beforehand(planned):
    plan = planned(responses=3)
    made = whole(plan)
    layout = generate.layout(plan.task, plan.recipe, plan.agents[0])
    assert {n: (s.shape, s.dtype) for n, s in layout.items()} == {
        n: (a.shape, a.dtype) for n, a in made.items()
    }


def test_a_dataset_of_several_chunks_is_compiled_once(planned, ledge):
    traces = []

    @dataclasses.dataclass(frozen=True)
    class Counted(type(ledge)):
        def respond(self, params, start, key):
            traces.append(self)
            return super().respond(params, start, key)

    plan = planned(rows=40, task=Counted(horizon=3))
    whole(plan, 16)
    first = len(traces)
    whole(dataclasses.replace(plan, recipe=dataclasses.replace(plan.recipe, seed=9)), 16)
    whole(dataclasses.replace(plan, recipe=dataclasses.replace(plan.recipe, judge=Judge(7.0))), 16)
    assert first >= 1
    assert len(traces) - first <= 2  # `layout` traces abstractly at every call, and nothing else


@pytest.mark.sweep
def test_settings_of_the_caller_hold_for_every_chunk():
    with jax.enable_x64(True):
        plan = data.plan("reach", rows=40)
        expected, got = whole(plan, 40), whole(plan, 7)
    assert expected["reward"].dtype == got["reward"].dtype == np.float64
    for name in expected:
        np.testing.assert_array_equal(expected[name], got[name], err_msg=name)


def test_padding_is_zero_and_lengths_differ(planned):
    made = whole(planned(rows=100))
    beyond = np.arange(7) >= made["length"][..., None]
    assert 0 < beyond.mean() < 1
    assert not made["inputs"][beyond].any()
    assert not made["outputs"][beyond].any()


def test_tokens_are_generated_into_the_same_container(tmp_path):
    dataset = data.make("token_bandit", "shuffled", rows=64, out=tmp_path / "d.npz")
    assert dataset.inputs.shape == (64, 2)
    assert dataset.outputs.shape == (64, 2, 10)
    assert dataset.outputs.dtype == np.int32
    assert dataset.about.vocabulary == 100
    assert dataset.inputs.dtype == np.int32
    np.testing.assert_array_equal(dataset.inputs[:, 0], dataset.inputs[:, 1])
    np.testing.assert_array_equal(
        dataset.starts(registry.task("token_bandit")), dataset.inputs[:, 0]
    )
    dataset.save(tmp_path / "copy.npz")
    np.testing.assert_array_equal(load(tmp_path / "copy.npz").outputs, dataset.outputs)


def test_a_return_that_is_no_number_stops_the_work(planned, ledge, tmp_path):
    @dataclasses.dataclass(frozen=True)
    class Unstable(type(ledge)):
        def respond(self, params, start, key):
            response = super().respond(params, start, key)
            bad = jnp.where(start[0] > 0.2, jnp.nan, response.reward)
            return dataclasses.replace(response, reward=bad)

    with pytest.raises(FloatingPointError, match=r"row \d+: .*nan.*unstable"):
        planned(task=Unstable()).write(tmp_path / "d.npz")
    assert not list(tmp_path.iterdir())


def test_a_chunk_keeps_to_its_memory(planned):
    plan = planned(rows=10**6)
    layout = generate.layout(plan.task, plan.recipe, plan.agents[0])
    assert generate.chunk_size(layout) == 256
    wide = layout | {"inputs": jax.ShapeDtypeStruct((10**6, 2, 1000, 10**4), jnp.float32)}
    assert generate.chunk_size(wide) * 2 * 1000 * 10**4 * 4 <= generate.CHUNK_BYTES


@pytest.mark.slow
def test_rows_of_a_simulated_body_do_not_depend_on_the_size_of_chunks():
    """A step of the simulator magnifies the smallest difference in rounding; there is none."""
    task = registry.task("hopper", horizon=40)
    agents = tuple(task.initial(key) for key in jax.random.split(jax.random.key(1)))
    a, b = (data.Author.of(n, agent) for n, agent in zip("ab", agents, strict=True))
    recipe = data.Recipe("hopper", (), "shuffled", a, b, rows=9)
    plan = data.Plan(recipe, task, agents)
    expected, got = whole(plan, 9), whole(plan, 2)
    for name in expected:
        np.testing.assert_array_equal(expected[name], got[name], err_msg=name)


@given(rows=st.sampled_from([2, 7, 40]), rate=st.floats(0, 1), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_exact_flips_are_counted_and_chosen_by_the_seed_alone(planned, rows, rate, seed):
    recipe = planned(rows=rows, judge=Judge(1.0, rate), seed=seed).recipe
    exact = generate.flips(dataclasses.replace(recipe, exact=True))
    assert exact.sum() == round(rate * rows)
    again = dataclasses.replace(recipe, exact=True, kind="shuffled")
    np.testing.assert_array_equal(exact, generate.flips(again))


@pytest.mark.parametrize("exact", [False, True])
def test_flips_turn_rows_and_nothing_else(planned, exact):
    """Both ways, of what the same judge ranked; and they are those that are counted."""
    plain, noisy = planned(rows=50, judge=Judge(1.0)), planned(rows=50, judge=Judge(1.0, 0.3))
    noisy = dataclasses.replace(noisy, recipe=dataclasses.replace(noisy.recipe, exact=exact))
    before, after, turned = whole(plain), whole(noisy), generate.flips(noisy.recipe)
    assert turned.sum() == 15 or not exact
    assert 0 < turned.sum() < 50
    for name in ("inputs", "outputs", "length", "reward", "agent"):
        backward = np.where(
            turned.reshape(-1, *[1] * (before[name].ndim - 1)), before[name][:, ::-1], before[name]
        )
        np.testing.assert_array_equal(after[name], backward, err_msg=name)


@given(
    rows=st.sampled_from([4, 9, 40]), share=st.floats(0.01, 0.75), seed=st.integers(0, 2**32 - 1)
)
@settings(max_examples=30)
@pytest.mark.sweep
def test_a_share_of_the_rows_has_the_expert_exactly(planned, rows, share, seed):
    recipe = planned(rows=rows, seed=seed).recipe
    for name in ("base", "shuffled"):
        of = dataclasses.replace(recipe, kind=name, share=share)
        having = (generate.cast(of) == 0).any(axis=1)
        if round(share * rows) <= rows - rows // 4:
            assert having.sum() == round(share * rows)
    assert recipe.digest != dataclasses.replace(recipe, share=share).digest
    with pytest.raises(RequestError):
        generate.cast(dataclasses.replace(recipe, kind="shuffled", share=1.0))
