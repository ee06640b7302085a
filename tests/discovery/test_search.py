"""The outer loop: compiled once, keys shared as asked, failures alone, the same on all devices."""

import dataclasses
import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mpo
from discovery import config
from discovery.host.processes import all_devices
from discovery.search import situation
from discovery.search.cohort import Cohort
from discovery.search.search import PROBES, Search, moved, searched, shared
from discovery.search.streams import Purpose
from mpo import treefile
from mpo.errors import RequestError
from mpo.train import stacked
from tests.discovery.conftest import TINY


def search_of(described):
    return Search(described, situation.prepare(described, Purpose.DISCOVERY, all_devices()))


def generation(search, state):
    members, asked = search.ask(state)
    measured = search.score(search.train(members, asked))
    return search.tell(asked, members, measured), members, measured


@pytest.fixture(scope="module")
def climbed(datasets):
    os.environ["DISCOVERY_CACHE"] = str(datasets)
    search = search_of(config.from_json(TINY))
    state, seen = search.init(), []
    for _ in range(search.config.search.generations):
        state, members, measured = generation(search, state)
        seen.append((np.asarray(members), measured))
    return search, state, seen


def test_every_part_of_a_generation_is_compiled_once(climbed):
    search, _, _ = climbed
    before = search.compilations()
    assert {name: before[name] for name in ("ask", "algorithms", "tell")} == dict.fromkeys(
        ("ask", "algorithms", "tell"), 1
    )
    generation(search, search.init())
    assert search.compilations() == before


def test_another_search_of_the_same_shape_compiles_no_training(climbed, tiny):
    before = climbed[0].compilations()
    other = search_of(config.changed(tiny, {"seed": 3, "training.hyper.learning_rate": 0.01}))
    generation(other, other.init())
    after = other.compilations()
    assert (after["train"], after["score"]) == (before["train"], before["score"])


def test_the_same_seed_gives_the_same_numbers(climbed, tiny):
    _, state, seen = climbed
    again = search_of(tiny)
    other = again.init()
    for members, measured in seen:
        other, its_members, its_measured = generation(again, other)
        np.testing.assert_array_equal(its_members, members)
        np.testing.assert_array_equal(its_measured.members, measured.members)
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_another_seed_gives_others(climbed, tiny):
    _, _, seen = climbed
    other = search_of(dataclasses.replace(tiny, seed=1))
    _, members, _ = generation(other, other.init())
    assert not np.allclose(members, seen[0][0])


def test_members_under_one_objective_earn_the_same(climbed):
    """With randomness shared by the generation, nothing but the objective tells agents apart."""
    search, _, _ = climbed
    state = search.init()
    middle = jnp.broadcast_to(search.candidates(state)["start"], (6, 16))
    measured = search.score(search.train(middle, state))
    assert np.ptp([*measured.members, measured.middle, measured.start]) == 0


def test_the_middle_of_the_search_is_where_it_starts(climbed):
    _, _, seen = climbed
    first = seen[0][1]
    assert first.middle == first.start
    assert seen[-1][1].middle != seen[-1][1].start


def test_a_search_starts_from_orpo(tiny):
    pair = mpo.Comparison(logp=jnp.array([-3.0, -4.5]), length=jnp.array([3.0, 4.0]))
    start, orpo = searched(tiny.family), mpo.objective("orpo")
    np.testing.assert_allclose(start(pair), orpo(pair), rtol=1e-6)


@pytest.mark.parametrize(("share", "different"), [("generation", 1), ("pairs", 3), ("nothing", 6)])
def test_who_shares_randomness(share, different):
    who = np.asarray(shared(share, 6))
    assert who.shape == (6 + PROBES,)
    assert len(set(who[:6].tolist())) == different
    if share == "pairs":
        np.testing.assert_array_equal(who[:3], who[3:6])


def test_antithetic_partners_share_every_key(tiny):
    pairs = config.changed(tiny, {"search.share": "pairs", "search.seeds": 2})
    search = search_of(pairs)
    keys = np.asarray(jax.random.key_data(search._agents(jax.random.key(0)))).reshape(8, 2, -1)
    np.testing.assert_array_equal(keys[:3], keys[3:6])
    assert len({tuple(k) for k in keys[:3].reshape(6, -1)}) == 6


def test_fitness_is_the_mean_over_seeds_and_datasets(tiny):
    several = config.changed(tiny, {"search.seeds": 2})
    several = dataclasses.replace(
        several, data=(several.data[0], dataclasses.replace(several.data[0], kind="base"))
    )
    search = search_of(several)
    state = search.init()
    members, asked = search.ask(state)
    trained = search.train(members, asked)
    assert len(trained) == 2
    fitness = search.score(trained)
    returns = np.stack([search.cohort.score(agents) for agents in trained])
    assert returns.shape == (2, (6 + PROBES) * 2)
    np.testing.assert_allclose(fitness.members[1], returns[:, 2:4].mean(), rtol=1e-6)


def test_an_agent_that_fails_costs_nobody_else_anything(climbed):
    """One objective of a cohort returns NaN; its agent says so, the others do not notice."""
    search, _, _ = climbed
    cohort = Cohort(search.situation, 4)
    keys = jax.random.split(jax.random.key(5), 3)
    fine = stacked([search.situation.algorithm(mpo.objective("closed_form"))], each=3)
    holed_alpha = jnp.array([1.0, jnp.nan, 1.0])
    leaves, structure = jax.tree.flatten(fine)  # past the check that would refuse it
    number = next(n for n, (name, _) in enumerate(treefile.named(fine)) if name.endswith("alpha"))
    broken = jax.tree.unflatten(structure, [*leaves[:number], holed_alpha, *leaves[number + 1 :]])
    whole = cohort.score(cohort.train(fine, keys))
    before = cohort.compilations()
    holed = cohort.score(cohort.train(broken, keys))
    assert np.isnan(holed[1])
    np.testing.assert_array_equal(holed[[0, 2]], whole[[0, 2]])
    assert cohort.compilations() == before


def test_a_member_with_a_failed_agent_ranks_last(climbed):
    search, _, _ = climbed
    state = search.init()
    members, asked = search.ask(state)
    measured = search.score(search.train(members, asked))
    holed = np.array(measured.members)
    holed[2] = np.nan
    worst = np.array(measured.members)
    worst[2] = np.nanmin(holed)
    one = search.tell(asked, members, dataclasses.replace(measured, members=holed))
    two = search.tell(asked, members, dataclasses.replace(measured, members=worst))
    np.testing.assert_array_equal(one.strategy.mean, two.strategy.mean)
    assert np.isfinite(one.advantage)


def test_purposes_share_no_key_and_no_data(tiny):
    from discovery.search import streams

    keys = {
        bytes(np.asarray(jax.random.key_data(streams.key(p, s)))) for p in Purpose for s in (0, 1)
    }
    assert len(keys) == 2 * len(Purpose)
    recipes = {p: situation.plan(tiny, tiny.data[0], p).recipe for p in Purpose}
    assert recipes[Purpose.SELECTION] == recipes[Purpose.DISCOVERY]
    assert len({r.seed for r in recipes.values()}) == len(Purpose) - 1
    same = {dataclasses.replace(r, seed=0) for r in recipes.values()}
    assert len(same) == 1


PROGRAM = """
import json, sys
import jax, numpy as np
from discovery import (config)
from discovery.search import situation
from discovery.host.processes import all_devices
from discovery.search.search import Search
from discovery.search.streams import Purpose
described = config.from_json(json.loads(sys.argv[1]))
search = Search(described, situation.prepare(described, Purpose.DISCOVERY, all_devices()))
state, out = search.init(), []
for _ in range(2):
    members, asked = search.ask(state)
    measured = search.score(search.train(members, asked))
    out.append([float(x).hex() for x in (*measured.members, measured.middle)])
    state = search.tell(asked, members, measured)
print(json.dumps([jax.device_count(), out, np.asarray(state.tail).tobytes().hex()]))
"""


@pytest.mark.slow
def test_devices_share_a_population_without_changing_it(datasets):
    """One, two and eight devices: the same fitness and the same mean, bit for bit."""
    results = {}
    for count in (1, 2, 8):
        flags = f"--xla_force_host_platform_device_count={count}"
        environment = os.environ | {"XLA_FLAGS": flags, "DISCOVERY_CACHE": str(datasets)}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, json.dumps(TINY)],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        devices, *numbers = json.loads(done.stdout.splitlines()[-1])
        assert devices == count
        results[count] = numbers
    assert results[1] == results[2] == results[8]


def test_a_loss_made_by_hand_is_searched_over_what_a_tuning_covers(tiny):
    """Or over what is said, each in its chart; as a control for a search of learned functions."""
    described = config.changed(tiny, {"family.objective": "closed_form"})
    assert "objective" not in tiny.as_json()["family"]
    assert config.from_json(described.as_json()) == described
    start = situation.algorithm(described, searched(described.family))
    plan = moved(start, described.family)
    assert plan.zeta.shape == (2,)
    assert plan.rebuild(plan.zeta + 1.0).objective.alpha > start.objective.alpha
    over = {"family.over": ["objective.lam", "descent.learning_rate"]}
    named = moved(start, config.changed(described, over).family)
    rates = [named.rebuild(named.zeta + d).descent.learning_rate for d in (0.0, 1.0)]
    np.testing.assert_allclose(rates[1], rates[0] * np.e, rtol=1e-5)


@pytest.mark.parametrize("start", ["dpo", "gce", "found/bandit-shuffled"])
def test_a_search_of_the_wide_family_starts_at_any_loss(tiny, start):
    """And moves what is named, with rate and free functions beside it."""
    over = [
        "objective.lam",
        "objective.kappa",
        "objective.psi_free",
        "training.hyper.learning_rate",
    ]
    family = {"objective": "wide", "start": start, "free": ["psi"], "over": over}
    asked = {f"family.{name}": value for name, value in family.items()}
    described = config.changed(tiny, asked)
    assert config.from_json(described.as_json()) == described
    begun = situation.algorithm(described, searched(described.family))
    plan = moved(begun, described.family)
    assert plan.zeta.shape == (3 + 8,)
    c = mpo.Comparison(jnp.array([-8.0, -9.5]), jnp.array([4, 5]), jnp.array([-9.0, -9.0]))
    found, expected = plan.rebuild(plan.zeta).objective, mpo.objective(start)
    np.testing.assert_allclose(found(c, 0.3), expected(c, 0.3), rtol=1e-5)
    other = plan.rebuild(plan.zeta + 0.5)
    assert other.objective.needs == found.needs
    assert other.descent.learning_rate > 0.04


def test_settings_of_the_wide_family_are_for_it_alone(tiny):
    with pytest.raises(RequestError, match=r"family\.start is of family\.objective='wide'"):
        config.changed(tiny, {"family.start": "dpo"})
    wide = {"family.objective": "wide", "family.start": "tuned"}
    with pytest.raises(RequestError, match=r"set evaluation\.tune=true"):
        config.changed(tiny, wide)


def test_rewards_in_standard_units_have_no_scale(tiny):
    plain = search_of(tiny)
    scaled = search_of(config.changed(tiny, {"training.rewards": "standard"}))
    reward = scaled.situation.sources[0].reward
    np.testing.assert_allclose((reward.mean(), reward.std()), (0, 1), atol=1e-5)
    raw = np.asarray(plain.situation.sources[0].reward)
    np.testing.assert_allclose(np.corrcoef(raw.ravel(), reward.ravel())[0, 1], 1, rtol=1e-6)
    bare = dataclasses.replace(plain.situation.sources[0], reward=None)
    with pytest.raises(RequestError, match="reward"):
        situation.standard(bare)
