"""The doors of the inner loop: data renewed between rounds, and slopes of another kind.

Both stand here and nowhere else: a renewal in which the agent writes its own data, judged by the
true reward, and a slope by finite differences. Neither needs a line changed in the package.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
import mpo
from mpo.pytree import pytree
from mpo.settings import Checked, Number, count, number
from mpo.train import Algorithm, Batch, Descent, Fixed, hyper, population, snapshots, train

BANDIT = envs.task("token_bandit", vocabulary=10, horizon=4)
POLICY = BANDIT.policy
KEY = jax.random.key(11)


@pytree
@dataclass(frozen=True)
class Written:
    """Comparisons that an agent wrote: a source like any other.

    Attributes:
      responses: tokens, shape [N, 2, T], best first.
      contexts: shape [N, 2].
      reward: shape [N, 2].
    """

    responses: Any
    contexts: Any
    reward: Any

    @property
    def size(self):
        return self.responses.shape[0]

    def batch(self, items):
        outputs = self.responses[items]
        mask = jnp.ones(outputs.shape, bool)
        return Batch(self.contexts[items], outputs, mask, self.reward[items], None)


@pytree
@dataclass(frozen=True, kw_only=True)
class OnPolicy(Checked):
    """The agent writes two responses to each of a few contexts; the better one comes first.

    Attributes:
      cut: into how many rounds a training is cut.
      pairs: comparisons in a pool.
    """

    cut: int = count(2)
    pairs: int = count(16)

    def rounds(self, updates, batch):
        return self.cut

    def init(self, source, policy, params, key):
        return jnp.zeros((), jnp.int32)

    def __call__(self, source, policy, params, state, key, number):
        def pair(key):
            start_key, *keys = jax.random.split(key, 3)
            start = BANDIT.start(start_key)
            both = jax.vmap(lambda k: BANDIT.respond(params, start, k))(jnp.stack(keys))
            order = jnp.argsort(-both.total)
            return both.outputs[order], both.inputs[order], both.total[order]

        pool = Written(*jax.vmap(pair)(jax.random.split(key, self.pairs)))
        return pool, state + 1

    def hint(self, state):
        return None

    def report(self, pool, policy, params, state):
        return {"turns": state.astype(float)}


@pytree
@dataclass(frozen=True, kw_only=True)
class Differences(Checked):
    """The slope by central differences, one parameter after another.

    Attributes:
      step: half the distance of the two parameters compared.
    """

    step: Number = number(1e-2, above=0.0)

    def init(self, params, updates):
        return jnp.zeros((), jnp.int32)

    def turn(self, state, params, hint):
        return state

    def report(self, state):
        return {}

    def __call__(self, loss, params, state, key):
        flat, unravel = jax.flatten_util.ravel_pytree(params)

        def along(direction):
            ends = [loss(unravel(flat + sign * self.step * direction))[0] for sign in (1, -1)]
            return (ends[0] - ends[1]) / (2 * self.step)

        slope = jax.lax.map(along, jnp.eye(flat.size))
        value, seen = loss(params)
        return value, seen, unravel(slope), state + 1


def of(objective="sft", **parts):
    settings = {"updates": 8, "batch": 4, "learning_rate": 0.1} | parts.pop("descent", {})
    return Algorithm(objective=mpo.objective(objective), descent=hyper(**settings), **parts)


@pytest.fixture(scope="module")
def source():
    from envs.data import from_arrays

    rng = np.random.default_rng(0)
    outputs = rng.integers(0, 10, (12, 2, 4)).astype(np.int32)
    inputs = np.repeat(rng.integers(0, 10, (12, 1)).astype(np.int32), 2, 1)
    return from_arrays(inputs, outputs, vocabulary=10).view()


@pytest.fixture(scope="module")
def start():
    return BANDIT.agent("reference")


def same(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.sweep
def test_an_objective_alone_is_an_algorithm_with_the_defaults(source, start):
    objective = mpo.objective("orpo")
    whole = Algorithm(objective=objective, renewal=Fixed(), descent=Descent())
    same(*(train(one, source, POLICY, KEY, start=start) for one in (objective, whole)))
    given = train(objective, source, POLICY, KEY, hyper(updates=3, batch=4), start=start)
    inside = of("orpo", descent={"updates": 3, "learning_rate": 1e-3})
    same(given, train(inside, source, POLICY, KEY, start=start))


def test_fresh_responses_of_the_agent_teach_it_what_is_rewarded(source, start):
    """Best of two on policy, from data that hold nothing: the true return rises."""
    algorithm = of(
        renewal=OnPolicy(cut=50, pairs=32),
        descent={"updates": 200, "batch": 8, "learning_rate": 0.1},
    )
    before = BANDIT.expected_return(start)
    params, metrics = train(algorithm, source, POLICY, KEY, start=start)
    assert metrics.updates == 200
    assert BANDIT.expected_return(params) > before + 0.2
    offline, _ = train(of(descent={"updates": 200}), source, POLICY, KEY, start=start)
    assert BANDIT.expected_return(params) > BANDIT.expected_return(offline) + 0.2


@pytest.mark.sweep
def test_each_round_sees_the_agent_of_its_beginning(source, start):
    """Two rounds by hand: train on the first pool, let that agent write, train on the second."""
    renewal = OnPolicy(cut=2, pairs=4)
    # Plain steps of one batch that is the whole pool: nothing but the pools differs.
    settings = {"updates": 2, "batch": 4, "optimizer": "sgd", "learning_rate": 0.5}
    whole, _ = train(of(renewal=renewal, descent=settings), source, POLICY, KEY, start=start)
    by_hand = start
    for turn in range(2):
        own = jax.random.fold_in(jax.random.fold_in(KEY, 1), turn)
        pool, _ = renewal(source, POLICY, by_hand, jnp.int32(0), own, jnp.int32(turn))
        one = of(descent=settings | {"updates": 1})
        by_hand, _ = train(one, pool, POLICY, KEY, start=by_hand)
    np.testing.assert_allclose(whole, by_hand, atol=1e-6)


def test_the_reference_is_the_agent_before_training_in_every_round(source, start):
    algorithm = of("dpo", renewal=OnPolicy(cut=4), descent={"learning_rate": 0.3, "points": 8})
    _, metrics = train(algorithm, source, POLICY, KEY, start=start)
    np.testing.assert_allclose(metrics.margin[0], 0, atol=1e-6)
    assert np.all(np.abs(metrics.margin[2::2]) > 1e-3), "relative to a reference long left"


def test_a_slope_by_finite_differences_descends_as_the_gradient_does(source, start):
    settings = {"updates": 5, "optimizer": "sgd", "learning_rate": 0.5}
    gradient, _ = train(of(descent=settings), source, POLICY, KEY, start=start)
    differences = of(descent=settings | {"slope": Differences()})
    params, metrics = train(differences, source, POLICY, KEY, start=start)
    np.testing.assert_allclose(params, gradient, atol=2e-3)
    assert np.max(np.abs(params - start)) > 0.05
    assert metrics.finite


@pytest.mark.parametrize("how", ["vmap", "map"])
@pytest.mark.sweep
def test_populations_renew_and_slope_member_by_member(source, start, how):
    """Members differ in λ, step and key; each is what it is alone (on devices: test_population)."""
    base = of("orpo", renewal=OnPolicy(cut=2, pairs=4), descent={"updates": 4})
    base = mpo.paths.put(base, "descent.slope", Differences())

    def member(values):
        lam, step, raw = values
        own = mpo.paths.put_all(base, {"objective.lam": lam, "descent.slope.step": step})
        return train(own, source, POLICY, jax.random.wrap_key_data(raw), start=start)[0]

    keys = jax.random.key_data(jax.random.split(KEY, 3))
    values = (jnp.array([0.1, 1.0, 3.0]), jnp.array([0.01, 0.02, 0.05]), keys)
    together = population(member, how)(values)
    one = jax.jit(member)
    for place, alone in enumerate(zip(*values, strict=True)):
        np.testing.assert_allclose(together[place], one(alone), atol=1e-5)
    assert len(np.unique(np.asarray(together).reshape(3, -1)[:, 0])) == 3


def test_snapshots_of_renewed_trainings_are_prefixes(source, start):
    renewal = OnPolicy(cut=4, pairs=8)
    algorithm = of(renewal=renewal)
    seen = snapshots(algorithm, source, POLICY, KEY, moments=5, start=start)
    last, _ = train(algorithm, source, POLICY, KEY, start=start)
    np.testing.assert_array_equal(seen[0], start)
    np.testing.assert_allclose(seen[-1], last, atol=1e-6)
    half = of(renewal=OnPolicy(cut=2, pairs=8), descent={"updates": 4})
    np.testing.assert_allclose(seen[2], train(half, source, POLICY, KEY, start=start)[0], atol=1e-6)


def test_rounds_that_do_not_divide_the_updates_are_refused(source, start):
    with pytest.raises(mpo.RequestError, match=r"8 updates .* 3 rounds"):
        train(of(renewal=OnPolicy(cut=3)), source, POLICY, KEY, start=start)


@pytest.mark.sweep
def test_algorithms_of_one_structure_are_compiled_once(source, start):
    traces = []

    @jax.jit
    def one(algorithm, key):
        traces.append(1)
        return train(algorithm, source, POLICY, key, start=start)[0]

    base = of("orpo", renewal=OnPolicy(cut=2), descent={"slope": Differences()})
    for seed, lam in enumerate((0.5, 2.0)):
        values = {"objective.lam": lam, "descent.slope.step": lam / 10}
        one(mpo.paths.put_all(base, values), jax.random.key(seed))
    assert len(traces) == 1
    one(dataclasses.replace(base, renewal=OnPolicy(cut=4)), KEY)
    assert len(traces) == 2, "how often data are renewed is structure"
