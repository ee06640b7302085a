"""Responses written while an agent learns: pools, credit, pairing, graders, shares, references."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import envs
import mpo
from envs.judge import Judge
from mpo.train import (
    Algorithm,
    Function,
    Graded,
    Implied,
    Learnt,
    Regime,
    hyper,
    population,
    stacked,
    train,
)
from mpo.train.credit import SCOPES, SHAPES, credited, no_signal
from mpo.train.logprob import log_probs
from mpo.train.pool import PAIRINGS, paired, per_group
from mpo.train.rounds import opening, rounds_on

TASK = envs.task("token_bandit", vocabulary=20, horizon=5, architecture="positions")
POLICY, START = TASK.policy, TASK.agent("reference")
KEY = jax.random.key(5)
seeds = st.integers(0, 2**31 - 1)


def of(objective="reinforce", descent=None, **regime):
    usual: dict[str, Any] = {"prompts": 8, "responses": 4, "scope": "batch"}
    made = mpo.objective(objective) if isinstance(objective, str) else objective
    if "credit" not in made.needs:
        usual.pop("scope")
    steps = {"updates": 8, "batch": 8, "learning_rate": 0.1} | (descent or {})
    return Algorithm(
        objective=made, renewal=Regime(task=TASK, **usual | regime), descent=hyper(**steps)
    )


def pool_of(algorithm, params=START, key=KEY, number=0, state=None, source=None):
    regime = algorithm.renewal
    state = regime.init(source, POLICY, START, key) if state is None else state
    return regime(
        source, POLICY, params, state, jax.random.fold_in(key, 9 + number), jnp.int32(number)
    )


# --- credit and pairing ---------------------------------------------------------------------


@given(seed=seeds, shift=st.floats(-5, 5), scale=st.floats(0.1, 10))
@settings(max_examples=30)
def test_credit_that_is_measured_against_others_forgets_the_level(seed, shift, scale):
    rewards = jnp.asarray(np.random.default_rng(seed).normal(size=(6, 4)))
    for scope in ("batch", "prompt"):
        own = SCOPES[scope](rewards)
        np.testing.assert_allclose(SCOPES[scope](scale * rewards + shift), own, atol=1e-3)
    left = SCOPES["leave_one_out"](rewards)
    np.testing.assert_allclose(SCOPES["leave_one_out"](rewards + shift), left, atol=1e-4)
    np.testing.assert_allclose(left.sum(axis=1), 0, atol=1e-5)
    others = (rewards.sum(axis=1, keepdims=True) - rewards) / 3
    np.testing.assert_allclose(left, rewards - others, atol=1e-5)
    assert np.std(SCOPES["batch"](rewards), ddof=1) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("level", [0.0, 0.7, -3e4])
@pytest.mark.sweep
def test_equal_rewards_are_finite_and_nobodys_merit(scope, shape, level):
    for responses in (1, 4):
        found = credited(jnp.full((3, responses), level), scope, shape, 0.1)
        expected = (
            level if (scope, shape) == ("raw", "linear") else 0.0 if shape == "linear" else 1.0
        )
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert no_signal(jnp.full((3, 4), level)) == 1


def test_weights_have_mean_one_in_their_scope_and_never_overflow():
    rewards = jnp.asarray([[0.0, 1.0, 900.0], [5.0, 5.0, 6.0]])
    for shape, temperature in (("exp", 0.01), ("exp", 10.0), ("top", 0.34)):
        assert np.mean(credited(rewards, "raw", shape, temperature)) == pytest.approx(1)
        own = credited(rewards, "prompt", shape, temperature)
        np.testing.assert_allclose(np.mean(own, axis=1), 1, rtol=1e-5)
        assert np.all(np.isfinite(own))
    assert (credited(rewards, "raw", "top", 0.34) > 0).sum() == 2


@pytest.mark.parametrize("pairing", PAIRINGS)
def test_comparisons_have_the_better_first_and_hold_what_they_should(pairing):
    rng = np.random.default_rng(0)
    rewards = jnp.asarray(rng.normal(size=(7, 5)))
    order = jnp.argsort(-rewards, axis=1).astype(jnp.int32)
    places = paired(pairing, order, KEY)
    assert places.shape[:2] == (7, per_group(pairing, 5))
    worth = jnp.take_along_axis(rewards[:, None], places, axis=2)
    assert np.all(np.diff(worth, axis=2) < 0)
    if pairing == "every_pair":
        pairs = {tuple(sorted(pair)) for pair in np.asarray(places[0]).tolist()}
        assert len(pairs) == 10
    elif pairing == "all":
        assert np.all(np.sort(places, axis=2) == np.arange(5))
    else:
        np.testing.assert_array_equal(places[:, 0, 0], order[:, 0])
    if pairing == "ends":
        np.testing.assert_array_equal(places[:, 0, 1], order[:, -1])


@pytest.mark.sweep
def test_a_pair_of_equals_weighs_nothing():
    alike = Function(function=lambda inputs, outputs, mask: jnp.zeros(()))
    pool, _ = pool_of(of("dpo", pairing="every_pair", grader=alike))
    assert np.all(pool.weight == 0)
    algorithm = of("dpo", {"updates": 12}, pairing="every_pair", grader=alike, prompts=16)
    params, metrics = train(algorithm, None, POLICY, KEY, start=START)
    np.testing.assert_array_equal(params, START)
    assert metrics.finite
    np.testing.assert_array_equal(metrics.rounds["no_signal"], 1)


# --- pools ----------------------------------------------------------------------------------


@pytest.mark.parametrize("pairing", PAIRINGS)
@pytest.mark.sweep
def test_a_pool_knows_who_wrote_it_and_what_it_is_worth(pairing):
    moved = START + 0.3 * jax.random.normal(KEY, START.shape)
    pool, _ = pool_of(of("dpo", pairing=pairing), params=moved)
    batch = pool.batch(jnp.arange(pool.size))
    np.testing.assert_allclose(
        batch.sampled_logp, log_probs(POLICY, moved, batch), rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(
        batch.ref_logp, log_probs(POLICY, START, batch), rtol=1e-5, atol=1e-5
    )
    true = jnp.asarray(TASK.token_reward)[batch.outputs].mean(axis=-1)
    np.testing.assert_allclose(batch.reward, true, rtol=1e-5)
    assert np.all(np.diff(batch.reward, axis=1) <= 0)


def test_a_writer_that_is_the_reference_writes_once():
    algorithm = of(writer="reference", descent={"updates": 40})
    assert algorithm.renewal.rounds(40, 8) == 1
    _, metrics = train(algorithm, None, POLICY, KEY, start=START)
    assert metrics.rounds["samples"].tolist() == [32]


def test_rounds_follow_from_pool_reuse_and_batch():
    regime = of(prompts=6, responses=4, pairing="every_pair", reuse=2).renewal
    assert regime.size == 36
    assert regime.rounds(36, 12) == 6
    for updates, batch, said in ((36, 7, "batch=7"), (35, 12, "updates=35")):
        with pytest.raises(mpo.RequestError, match=said):
            regime.rounds(updates, batch)


@pytest.mark.sweep
def test_a_judge_that_errs_ranks_otherwise_and_rewards_stay():
    right, _ = pool_of(of("dpo"))
    wrong, _ = pool_of(of("dpo", judge=Judge(temperature=None, flip=1.0)))
    np.testing.assert_array_equal(right.reward, wrong.reward)
    np.testing.assert_array_equal(right.places, wrong.places[:, ::-1])


def test_the_cost_of_the_kl_is_taken_off_the_credit_and_not_off_the_reward():
    moved = START + 0.5 * jax.random.normal(KEY, START.shape)
    free, _ = pool_of(of(scope="raw"), params=moved)
    costly, _ = pool_of(of(scope="raw", kl=0.2), params=moved)
    np.testing.assert_array_equal(free.reward, costly.reward)
    cost = 0.2 * (free.sampled_logp - free.ref_logp)
    np.testing.assert_allclose(costly.credit, free.credit - cost, rtol=1e-4, atol=1e-5)


# --- shares and references ------------------------------------------------------------------


@pytest.mark.parametrize("by", ["lowest", "highest", "random", "gap", "uncertain"])
@pytest.mark.sweep
def test_a_share_is_answered_anew_and_the_rest_is_kept(by):
    algorithm = of("dpo", prompts=12, responses=2, fresh=False, share=0.25, by=by)
    first, state = pool_of(algorithm)
    assert state.samples == 24
    second, later = pool_of(algorithm, number=1, state=state)
    assert later.samples == 24 + 3 * 2
    changed = np.any(first.source.outputs != second.source.outputs, axis=(1, 2))
    assert changed.sum() <= 3
    best = np.asarray(first.source.reward).max(axis=1)
    if by == "lowest":
        assert set(np.flatnonzero(changed)) <= set(np.argsort(best)[:3])
    if by == "highest":
        assert set(np.flatnonzero(changed)) <= set(np.argsort(-best)[:3])


def test_no_share_is_offline_after_the_first_pool_and_all_of_it_is_a_new_pool():
    def written(share):
        algorithm = of("dpo", prompts=8, responses=2, fresh=False, share=share, by="lowest")
        first, state = pool_of(algorithm)
        second, _ = pool_of(algorithm, number=1, state=state)
        return first.source.outputs, second.source.outputs

    np.testing.assert_array_equal(*written(0.0))
    first, second = written(1.0)
    assert np.mean(np.any(first != second, axis=(1, 2))) > 0.9


@pytest.mark.parametrize(
    "share",
    [pytest.param(0.25, marks=pytest.mark.sweep), 0.5, pytest.param(1.0, marks=pytest.mark.sweep)],
)
def test_a_budget_of_responses_is_the_same_for_every_share(share):
    sizes = {"prompts": 8, "responses": 2, "fresh": False, "by": "random", "budget": 37}
    algorithm = of("dpo", share=share, **sizes)
    _, state = pool_of(algorithm)
    counts = [float(state.samples)]
    for number in range(1, 7):
        pool, state = pool_of(algorithm, number=number, state=state)
        counts.append(float(state.samples))
    written = np.diff([0.0, *counts])
    assert counts[-1] == 36  # of 37, as a prompt is answered twice
    assert max(written[1:]) == 8 * share * 2
    assert written[0] == 16
    last, _ = pool_of(algorithm, number=7, state=state)
    np.testing.assert_array_equal(last.source.outputs, pool.source.outputs)


@pytest.mark.parametrize("mix", [1.0, 0.25])
@pytest.mark.sweep
def test_the_reference_follows_every_so_many_rounds(mix):
    algorithm = of("dpo", every=2, mix=mix)
    moved = START + 1.0
    _, state = pool_of(algorithm)
    for number in (1, 2, 3):
        _, state = pool_of(algorithm, params=moved, number=number, state=state)
        expected = START if number < 2 else START + mix
        np.testing.assert_allclose(state.reference, expected, rtol=1e-5)


def test_an_update_that_is_not_finite_is_neither_drawn_from_nor_referred_to():
    steep = mpo.objective("dpo", beta=1e6)
    algorithm = of(steep, {"learning_rate": 1e38, "optimizer": "sgd"}, every=1)
    params, metrics = train(algorithm, None, POLICY, KEY, start=START)
    assert not metrics.finite
    np.testing.assert_array_equal(params, START)
    assert np.all(np.isfinite(metrics.rounds["reward"]))


# --- graders --------------------------------------------------------------------------------


def test_a_grader_of_ones_own_decides_what_is_learnt():
    def low(inputs, outputs, mask):
        return -jnp.mean(outputs.astype(float))

    algorithm = of("ppo", {"updates": 200}, grader=Function(function=low))
    params, metrics = train(algorithm, None, POLICY, KEY, start=START)
    tokens = jax.nn.softmax(params) @ jnp.arange(20.0)
    assert np.mean(tokens) < np.mean(jax.nn.softmax(START) @ jnp.arange(20.0)) - 1
    assert metrics.rounds["graded"][-1] > metrics.rounds["graded"][0]
    assert {"reward", "graded"} <= {*metrics.rounds}, "truth and grade stand side by side"


def test_what_an_agent_implies_is_its_log_ratio():
    moved = START + jax.random.normal(KEY, START.shape)
    pool, _ = pool_of(of("dpo", grader=Implied(beta=0.3)), params=moved)
    np.testing.assert_allclose(
        pool.reward, 0.3 * (pool.sampled_logp - pool.ref_logp), rtol=1e-4, atol=1e-5
    )


@pytest.mark.sweep
def test_data_may_bring_the_model_that_grades_them():
    model = mpo.policies.TokenScores(20)
    scores = jnp.arange(20.0)
    data, _ = pool_of(of("dpo", writer="reference", prompts=16))
    source = Graded(data.source, Learnt(model=model, params=scores))
    pool, _ = pool_of(of(writer="data", scope="raw"), source=source)
    batch = pool.batch(jnp.arange(pool.size))
    np.testing.assert_allclose(batch.credit, batch.outputs.sum(axis=-1), rtol=1e-6)
    assert np.all(np.diff(batch.reward, axis=1) <= 0), "ranked by what the model says"
    assert batch.sampled_logp is None


# --- the whole ------------------------------------------------------------------------------

WHOLE = {
    "reinforce": of(),
    "ppo": of("ppo", reuse=2),
    "ipo": of("ipo", {"updates": 12}, pairing="every_pair", prompts=16),
    "share": of("dpo", responses=2, fresh=False, share=0.5, by="lowest", every=1),
}


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("way", ["map", "vmap"])
@pytest.mark.sweep
def test_members_depend_on_nothing_but_their_algorithm_and_key(name, way):
    algorithm, keys = WHOLE[name], jax.random.split(KEY, 3)

    def one(member):
        own, key = member
        return train(own, None, POLICY, jax.random.wrap_key_data(key), start=START)[0]

    several = stacked([dataclasses.replace(algorithm)], each=3)
    together = population(one, way)((several, jax.random.key_data(keys)))
    alone = [train(algorithm, None, POLICY, key, start=START)[0] for key in keys]
    np.testing.assert_allclose(together, np.stack(alone), atol=2e-5)


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.sweep
def test_a_training_in_stretches_has_the_bits_of_the_whole(name):
    algorithm = WHOLE[name]
    whole, metrics = jax.jit(lambda: train(algorithm, None, POLICY, KEY, start=START))()
    carry, updates = opening(algorithm, None, POLICY, KEY, start=START)
    rounds = algorithm.renewal.rounds(int(updates), algorithm.descent.batch)
    seen = []
    for first in range(rounds):
        carry, own = rounds_on(
            algorithm, None, POLICY, KEY, carry, jnp.int32(first), 1, start=START
        )
        seen.append(own)
    np.testing.assert_allclose(carry[0].params, whole, atol=1e-6)
    for name_, values in metrics.rounds.items():
        found = np.concatenate([one[name_] for one in seen])
        np.testing.assert_allclose(found, values, rtol=1e-4, atol=1e-5)


def test_one_structure_is_compiled_once():
    traces = []

    def low(inputs, outputs, mask):
        traces.append(1)
        return -jnp.mean(outputs.astype(float))

    grader = Function(function=low)

    @jax.jit
    def trained(algorithm, key):
        return train(algorithm, None, POLICY, key, start=START)[0]

    seen = []
    for kl, share in ((0.0, 0.2), (0.1, 0.9)):
        regime = {"fresh": False, "by": "lowest", "share": share, "kl": kl}
        trained(jax.tree.map(jnp.asarray, of(grader=grader, **regime)), KEY)
        seen.append(len(traces))
    assert seen[0] == seen[1] > 0


@pytest.mark.parametrize(
    ("regime", "both"),
    [
        ({"pairing": "ends", "responses": 1}, ("pairing", "responses")),
        ({"by": "lowest", "writer": "reference", "fresh": False}, ("by", "writer")),
        ({"by": "lowest"}, ("by", "fresh")),
        ({"kl": 0.1, "writer": "data"}, ("kl", "writer")),
        ({"budget": 100}, ("budget", "by")),
        ({"budget": 8, "by": "lowest", "fresh": False}, ("budget", "prompts")),
    ],
)
def test_what_cannot_be_together_is_refused_by_both_names(regime, both):
    with pytest.raises(mpo.RequestError) as refused:
        Regime(task=TASK, **regime)
    assert all(f"regime.{name}" in str(refused.value) for name in both)
