"""A reward model that is refined on what an agent writes, and what it tells a guided slope."""

import itertools
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
import mpo
from mpo.errors import RequestError
from mpo.policies import PolicyScores, TokenScores
from mpo.pytree import pytree
from mpo.settings import Checked
from mpo.train import (
    SLOPES,
    Algorithm,
    Backward,
    Graded,
    Guided,
    Learnt,
    Refined,
    Regime,
    hyper,
    population,
    register_slope,
    stacked,
    train,
)
from mpo.train.refinement import shared

TASK = envs.task("token_bandit", vocabulary=20, horizon=5, architecture="positions")
START, KEY = TASK.agent("reference"), jax.random.key(3)
POLICY: Any = TASK.policy
MODEL = PolicyScores(POLICY)


@pytree
@dataclass(frozen=True)
class NoData:
    """Nothing is read of it: agents write all that they are trained on."""

    @property
    def size(self):
        return 0

    def batch(self, items):
        raise AssertionError("nothing is read of the data")


def graded(model=MODEL):
    params = jax.tree.map(jnp.zeros_like, model.init(KEY))
    return Graded(NoData(), Learnt(model=model, params=params))


def refined(every=2, **settings):
    regime = Regime(task=TASK, prompts=8, responses=4, scope="leave_one_out")
    fit = hyper(learning_rate=0.1, updates=40, batch=16)
    return Refined(regime=regime, every=every, **{"prompts": 64, "descent": fit, **settings})


def rounds(renewal, source, params=START, number=8):
    """Return the states of rounds in which the agent stays as it is."""
    state = renewal.init(source, TASK.policy, params, KEY)
    states = [state]
    for n in range(number):
        key = jax.random.fold_in(KEY, n)
        pool, state = renewal(source, TASK.policy, params, state, key, jnp.int32(n))
        states.append((pool, state))
    return states[0], states[1:]


@pytest.mark.sweep
def test_a_model_learns_what_the_agent_writes_and_only_when_it_is_due():
    source = graded()
    first, later = rounds(refined(every=2), source)
    models = [first.model, *(state.model for _, state in later)]
    moved = [bool(jnp.any(a != b)) for a, b in itertools.pairwise(models)]
    assert moved == [False, False, True, False, True, False, True, False]
    assert [float(state.judged) for _, state in later] == [0, 0, 64, 64, 128, 128, 192, 192]
    ranked = [float(state.fitted) for _, state in later]
    assert ranked[2] < ranked[-1]  # the pairs are fresh each time: it was not fitted to them
    assert ranked[-1] > 0.7
    pool, last = later[-1]
    batch = pool.batch(jnp.arange(8, dtype=jnp.int32))
    own = Learnt(model=MODEL, params=last.model).scores(batch)
    assert np.corrcoef(np.ravel(own), np.ravel(batch.reward))[0, 1] > 0.5


def test_a_part_of_the_way_is_the_mean_of_both_models():
    whole, half = (rounds(refined(mix=mix), graded(), number=3)[1][-1][1] for mix in (1.0, 0.5))
    np.testing.assert_allclose(half.model, 0.5 * whole.model, rtol=1e-5, atol=1e-7)


@pytest.mark.sweep
def test_the_hint_is_the_last_change_in_the_shape_of_the_agent():
    renewal = refined()
    _, later = rounds(renewal, graded())
    (_, before), (_, after) = later[3], later[4]
    np.testing.assert_allclose(renewal.hint(after), after.model - before.model, atol=1e-6)
    other = rounds(renewal, graded(TokenScores(20)))[1][-1][1]
    assert jnp.shape(renewal.hint(other)) == jnp.shape(START)
    assert not np.any(renewal.hint(other))  # no array of that shape


def test_arrays_are_shared_by_name_and_shape():
    change = {"a": jnp.ones(3), "b": jnp.ones((2, 2)), "head": jnp.ones(4)}
    found = shared(change, {"a": jnp.zeros(3), "b": jnp.zeros(4), "c": jnp.zeros(3)})
    assert {name: float(jnp.sum(leaf)) for name, leaf in found.items()} == {"a": 3, "b": 0, "c": 0}


@pytest.mark.sweep
def test_a_guided_slope_keeps_away_from_the_change_and_members_are_what_they_are_alone():
    descent = hyper(
        slope={"name": "guided", "every": 2, "epsilon": 0.5}, updates=24, batch=2, learning_rate=0.3
    )
    algorithm = Algorithm(
        objective=mpo.objective("reinforce"), renewal=refined(every=2), descent=descent
    )
    members = [replace(algorithm, descent=replace(descent, learning_rate=r)) for r in (0.1, 0.3)]
    keys = jax.random.split(KEY, 2)

    def one(member, source, start):
        own, raw = member
        key = jax.random.wrap_key_data(raw)
        params, metrics = train(own, source, TASK.policy, key, start=start)
        return params, metrics.rounds["judged"]

    together = population(one, "vmap")(
        (stacked(members), jax.random.key_data(keys)), graded(), START
    )
    for at, member in enumerate(members):
        alone = one((member, jax.random.key_data(keys[at])), graded(), START)
        np.testing.assert_allclose(together[0][at], alone[0], atol=2e-5)
        np.testing.assert_array_equal(together[1][at], alone[1])
    led_by: Any = descent.slope
    free_of_it = replace(descent, slope=replace(led_by, projected=False))
    plain = replace(algorithm, descent=free_of_it)
    free = train(plain, graded(), TASK.policy, keys[0], start=START)[0]
    led = train(algorithm, graded(), TASK.policy, keys[0], start=START)[0]
    assert np.any(np.asarray(free) != np.asarray(led))


def test_what_is_refined_must_have_been_learnt():
    with pytest.raises(RequestError, match="grader='learnt'"):
        refined().init(None, TASK.policy, START, KEY)


def test_slopes_have_names_and_one_of_somebody_else_comes_in(monkeypatch):
    monkeypatch.setattr("mpo.train.descent.SLOPES", dict(SLOPES))
    assert hyper(slope="guided").slope == Guided()
    assert hyper(slope={"name": "spsa", "samples": 3}).slope.samples == 3
    with pytest.raises(RequestError, match="guided"):
        hyper(slope="guide")
    with pytest.raises(RequestError, match="epsilon"):
        hyper(slope={"name": "spsa", "epsilom": 1.0})

    @dataclass(frozen=True)
    class Steep(Checked):
        """A slope of somebody else's: twice the gradient."""

        init, turn, report = Backward.init, Backward.turn, Backward.report

        def __call__(self, loss, params, state, key):
            value, seen, slope, state = Backward()(loss, params, state, key)
            return value, seen, jax.tree.map(lambda leaf: 2 * leaf, slope), state

    register_slope("steep")(Steep)
    assert isinstance(hyper(slope="steep").slope, Steep)
    with pytest.raises(RequestError, match="under another name"):
        register_slope("spsa")(Steep)
