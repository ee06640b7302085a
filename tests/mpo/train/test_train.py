import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import mpo
from mpo.objectives import Objective
from mpo.policies import GaussianPolicy
from mpo.pytree import pytree
from mpo.settings import Number
from mpo.train import hyper, referenced
from mpo.train import train as compiled
from mpo.train.logprob import log_probs
from mpo.train.order import Order

KEY = jax.random.key(3)
LINEAR = GaussianPolicy(2, 2, hidden=())
START = LINEAR.init(jax.random.key(7))
FEW = hyper(updates=10, batch=8, points=10)


@pytree
@dataclass(frozen=True, kw_only=True)
class Probe(Objective):
    """w · progress − log π(y_w), which counts how often it is traced."""

    name: ClassVar = "probe"
    traces: ClassVar[list[int]] = []

    weight: Number = 1.0

    def loss(self, c, progress):
        Probe.traces.append(1)
        return self.weight * progress - c.logp[0] / c.length[0]


def train(*arguments, **options):
    """Train, and hand everything back as NumPy arrays: the less is compiled."""
    return jax.device_get(compiled(*arguments, **options))


def identical(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def close(one, other):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5), one, other)


@pytest.fixture(scope="module")
def view(walks):
    return walks.view()


@pytest.mark.parametrize(("name", "steps"), [("sft", None), ("orpo", 5)])
@pytest.mark.sweep
def test_the_expert_is_recovered(reach, walks, name, steps):
    settings = hyper(updates=600, learning_rate=0.03, schedule="cosine", max_gradient_norm=1.0)
    objective = mpo.objective(name, length_normalise=True)
    params, metrics = train(objective, walks.view(steps), reach.policy, KEY, settings)
    worth = jax.jit(reach.expected_return)
    expert, fresh = worth(reach.agent("expert")), worth(reach.policy.init(jax.random.split(KEY)[0]))
    assert fresh < 0.5 * expert
    assert worth(params) > 0.99 * expert
    np.testing.assert_allclose(params.kernels[0], -np.eye(2), atol=0.03)
    assert metrics.accuracy[-1] > 0.95


@pytest.mark.parametrize("name", ["sft", "orpo"])
def test_preferred_sentences_are_learned(bandit, sentences, name):
    settings = hyper(updates=400, learning_rate=0.05, schedule="linear")
    start, wanted = bandit.agent("reference"), float(np.mean(sentences.reward[:, 0]))
    view, objective = sentences.view(), mpo.objective(name)
    params = train(objective, view, bandit.policy, KEY, settings, start=start)[0]
    worth = jax.jit(bandit.expected_return)
    assert worth(start) < 0.1
    assert abs(worth(params) - wanted) < 0.05


@pytest.mark.sweep
def test_an_update_is_what_it_says(walks):
    """The same training, by a loop over updates with nothing but optax and NumPy."""
    view, settings = walks.view(4), dataclasses.replace(FEW, learning_rate=0.1)
    params, metrics = train(mpo.objective("dpo"), view, LINEAR, KEY, settings, start=START)
    order = Order.of(jax.random.split(KEY)[1], view.size, 8, 10)
    adam, now = optax.adam(0.1), START
    items = jax.jit(jax.vmap(order.items))(jnp.arange(10, dtype=jnp.int32))

    def log_pi(params, batch):
        return jnp.sum(LINEAR.log_prob(params, batch.inputs, batch.outputs), -1)

    @jax.jit
    def descent(params, state, items):
        def loss(params):
            batch = view.batch(items)
            gap = log_pi(params, batch) - log_pi(START, batch)
            return jnp.mean(jnp.log1p(jnp.exp(-0.1 * (gap[:, 0] - gap[:, 1]))))

        loss, gradient = jax.value_and_grad(loss)(params)
        with jax.numpy_dtype_promotion("standard"):
            update, state = adam.update(gradient, state)
        return loss, optax.apply_updates(params, update), state

    state, losses = adam.init(now), []
    for rows in np.asarray(items):
        loss, now, state = descent(now, state, rows)
        losses.append(loss)
    close(params, now)
    np.testing.assert_allclose(metrics.loss, losses, rtol=1e-3)
    assert metrics.updates == 10
    assert metrics.finite
    np.testing.assert_allclose(metrics.margin[0], 0, atol=1e-5, err_msg="its own reference")
    assert np.all(metrics.margin[1:] > 0)


def one(lam, key, rate, view):
    settings = dataclasses.replace(FEW, learning_rate=rate)
    return compiled(mpo.objective("orpo", lam=lam), view, LINEAR, key, settings)


@pytest.fixture(scope="module")
def population():
    run = jax.jit(jax.vmap(one, (0, 0, 0, None)))
    return lambda *members: jax.device_get(run(*members))


def test_a_population_is_its_members(view, population):
    """Over objectives, keys and learning rates at once."""
    lams, rates, keys = (
        jnp.array([0.1, 1, 3]),
        jnp.array([0.1, 0.01, 1e-3]),
        jax.random.split(KEY, 3),
    )
    together = population(lams, keys, rates, view)
    alone = [jax.device_get(one(*member, view)) for member in zip(lams, keys, rates, strict=True)]
    close(together, jax.tree.map(lambda *leaves: np.stack(leaves), *alone))
    assert len(np.unique(together[1].loss[:, -1])) == 3


def test_the_same_key_is_the_same_start_and_the_same_data(view):
    first, again, other = (
        jax.device_get(one(jnp.asarray(lam), KEY, 0.01, view)) for lam in (1.0, 1.0, 2.0)
    )
    identical(first, again)
    assert first[1].chosen[0] == other[1].chosen[0]
    assert np.any(first[0].kernels[0] != other[0].kernels[0])


@pytest.mark.parametrize("rate", [jnp.nan, 1e30])
def test_a_member_that_is_not_finite_costs_nobody_anything(view, population, rate):
    lams, keys = jnp.ones(3), jax.random.split(KEY, 3)
    sound = population(lams, keys, jnp.array([0.1, 0.01, 0.1]), view)
    params, metrics = population(lams, keys, jnp.array([0.1, rate, 0.1]), view)
    assert metrics.finite.tolist() == [True, False, True]
    others = np.array([0, 2])
    identical(*(jax.tree.map(lambda x: x[others], run) for run in ((params, metrics), sound)))
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(params))
    made = int(metrics.updates[1])
    assert made < 3
    assert np.all(np.isfinite(metrics.loss[1, :made]))
    assert np.all(np.isnan(metrics.loss[1, made:]))


def test_parameters_that_are_not_finite_from_the_start_are_reported(walks):
    start = dataclasses.replace(START, log_std=jnp.array([jnp.nan, 0.0]))
    params, metrics = train(mpo.objective("dpo"), walks.view(4), LINEAR, KEY, FEW, start=start)
    identical(params, start)
    assert not metrics.finite
    assert metrics.updates == 0


def probed(view, weight, settings=FEW, key=KEY):
    return train(Probe(weight=weight), view, LINEAR, key, settings, start=START)[1].loss


def test_progress_goes_from_zero_to_one(view):
    """The loss of the probe is its weight times progress, beside a term it does not change."""
    still, moving = (probed(view, weight) for weight in (0.0, 100.0))
    np.testing.assert_allclose((moving - still) / 100, np.arange(10) / 9, atol=1e-5)


def test_objectives_of_one_structure_are_compiled_once(view):
    first = probed(view, 1.0)
    Probe.traces.clear()
    slower = dataclasses.replace(FEW, learning_rate=1e-5)
    assert np.all(first != probed(view, 2.0, slower, jax.random.key(4)))
    assert not Probe.traces
    only = probed(view, 9.0, dataclasses.replace(FEW, updates=1))
    assert len(Probe.traces) == 1
    np.testing.assert_allclose(only, probed(view, 0.0)[:1], rtol=1e-6, err_msg="progress is 0")


def test_metrics_are_means_over_stretches(view):
    fine = jax.device_get(one(jnp.ones(()), KEY, 1e-3, view))[1]
    three = dataclasses.replace(FEW, points=3)
    coarse = train(mpo.objective("orpo"), view, LINEAR, KEY, three)[1]
    for name in ("loss", "accuracy", "margin", "chosen", "rejected", "gradient_norm"):
        each, means = getattr(fine, name), getattr(coarse, name)
        wanted = [each[:4].mean(), each[4:8].mean(), each[8:].mean()]
        np.testing.assert_allclose(means, wanted, rtol=1e-4)
    np.testing.assert_allclose(fine.margin, fine.chosen - fine.rejected, atol=1e-5)
    assert fine.updates == coarse.updates == 10


@pytest.mark.sweep
def test_the_reference_is_the_sources_if_it_knows_one(walks, reach):
    expert, view = reach.agent("expert"), walks.view()
    log_pi = jax.jit(lambda params, items: log_probs(LINEAR, params, view.batch(items)))
    ref_logp = log_pi(expert, jnp.arange(view.size))
    stored = dataclasses.replace(view, ref_logp=ref_logp)
    runs = [
        train(mpo.objective("dpo"), source, LINEAR, KEY, FEW, start=START)
        for source in (stored, referenced(view, LINEAR, expert))
    ]
    close(*runs)
    items = Order.of(jax.random.split(KEY)[1], view.size, 8, 10).items(jnp.int32(0))
    gap = np.asarray(log_pi(START, items)) - np.asarray(log_pi(expert, items))
    margin = np.mean(gap[:, 0] - gap[:, 1])
    assert abs(margin) > 1
    np.testing.assert_allclose(runs[0][1].margin[0], margin, rtol=1e-4)


def test_padding_does_not_reach_the_parameters(ragged):
    padded = dataclasses.replace(
        ragged,
        inputs=np.where(ragged.mask[..., None], ragged.inputs, np.float32(1e30)),
        outputs=np.where(ragged.mask[..., None], ragged.outputs, np.float32(np.inf)),
    )
    runs = [
        train(mpo.objective("orpo"), dataset.view(4), LINEAR, KEY, FEW, start=START)
        for dataset in (ragged, padded)
    ]
    identical(*runs)
    assert runs[0][1].finite


def test_what_an_objective_needs_and_the_data_lack_is_said(ragged):
    with pytest.raises(mpo.RequestError, match="'wdpo' needs 'reward'"):
        train(mpo.objective("wdpo"), ragged.view(), LINEAR, KEY, hyper(updates=1))
