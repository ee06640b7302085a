import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import mpo
from mpo.objectives import Objective
from mpo.policies import GaussianPolicy
from mpo.settings import Leaf
from mpo.train import hyper, referenced, train
from mpo.train.logprob import log_probs
from mpo.train.order import Order

KEY = jax.random.key(3)
LINEAR = GaussianPolicy(2, 2, hidden=())


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Probe(Objective):
    """w · progress − log π(y_w), which counts how often it is traced."""

    name = "probe"
    traces = []

    weight: Leaf = 1.0

    def loss(self, c, progress):
        Probe.traces.append(1)
        return self.weight * progress - c.logp[0] / c.length[0]


def identical(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def close(one, other):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5), one, other)


@pytest.fixture(scope="module")
def view(walks):
    return walks.view()


@pytest.mark.parametrize("steps", [None, 5])
@pytest.mark.parametrize("name", ["sft", "orpo"])
def test_the_expert_is_recovered(reach, walks, name, steps):
    settings = hyper(updates=600, learning_rate=0.03, schedule="cosine", max_gradient_norm=1.0)
    objective = mpo.objective(name, length_normalise=True)
    params, metrics = train(objective, walks.view(steps), reach.policy, KEY, settings)
    expert = reach.expected_return(reach.agent("expert"))
    fresh = reach.expected_return(reach.policy.init(jax.random.split(KEY)[0]))
    assert fresh < 0.5 * expert
    assert reach.expected_return(params) > 0.99 * expert
    np.testing.assert_allclose(params.kernels[0], -np.eye(2), atol=0.03)
    assert metrics.accuracy[-1] > 0.95


def test_preferred_sentences_are_imitated_and_the_others_avoided(bandit, sentences):
    settings = hyper(updates=400, learning_rate=0.05, schedule="linear")
    start = bandit.agent("reference")

    def trained(name):
        objective = mpo.objective(name)
        return train(objective, sentences.view(), bandit.policy, KEY, settings, start=start)[0]

    expert = bandit.expected_return(bandit.agent("expert"))
    reference = bandit.expected_return(start)
    imitated, preferred = (bandit.expected_return(trained(name)) for name in ("sft", "dpo"))
    assert reference < 0.5 * expert
    assert abs(imitated - expert) < 0.02
    assert preferred > 0.95 * expert


def test_an_update_is_what_it_says(walks):
    """The same training, by a loop over updates with nothing but optax and NumPy."""
    view, settings = walks.view(4), hyper(updates=5, batch=8, learning_rate=0.1)
    start = LINEAR.init(jax.random.key(7))
    params, metrics = train(
        mpo.objective("dpo"), view, LINEAR, KEY, settings, start=start
    )
    order = Order.of(jax.random.split(KEY)[1], view.size, 8, 5)
    adam, now = optax.adam(0.1), start

    def log_pi(params, batch):
        return jnp.sum(LINEAR.log_prob(params, batch.inputs, batch.outputs), -1)

    @jax.jit
    @jax.value_and_grad
    def descent(params, batch):
        gap = log_pi(params, batch) - log_pi(start, batch)
        return jnp.mean(jnp.log1p(jnp.exp(-0.1 * (gap[:, 0] - gap[:, 1]))))

    state, losses = adam.init(now), []
    for n in range(5):
        loss, gradient = descent(now, view.batch(order.items(jnp.int32(n))))
        losses.append(loss)
        with jax.numpy_dtype_promotion("standard"):
            update, state = adam.update(gradient, state)
        now = optax.apply_updates(now, update)
    close(params, now)
    np.testing.assert_allclose(metrics.loss, losses, rtol=1e-4)
    assert metrics.updates == 5
    assert metrics.finite


def test_a_population_is_its_members(view):
    """Over objectives, keys and learning rates at once."""
    lams, rates = jnp.array([0.1, 1.0, 3.0]), jnp.array([0.1, 0.01, 0.001])
    keys, settings = jax.random.split(KEY, 3), hyper(updates=20, batch=8)

    def one(lam, key, rate):
        return train(
            mpo.objective("orpo", lam=lam),
            view,
            LINEAR,
            key,
            dataclasses.replace(settings, learning_rate=rate),
        )

    together = jax.vmap(one)(lams, keys, rates)
    alone = [one(*member) for member in zip(lams, keys, rates, strict=True)]
    close(together, jax.tree.map(lambda *leaves: jnp.stack(leaves), *alone))
    assert len(np.unique(together[1].loss[:, -1])) == 3


def test_the_same_key_is_the_same_start_and_the_same_data(view):
    settings = hyper(updates=3)
    runs = [train(mpo.objective("orpo", lam=lam), view, LINEAR, KEY, settings) for lam in (1, 1, 2)]
    identical(runs[0], runs[1])
    assert runs[0][1].chosen[0] == runs[2][1].chosen[0]
    assert np.any(runs[0][0].kernels[0] != runs[2][0].kernels[0])


def test_a_member_that_is_not_finite_costs_nobody_anything(view):
    settings = hyper(updates=30, optimizer="sgd", points=30)

    @jax.jit
    def run(rates):
        def one(rate):
            rated = dataclasses.replace(settings, learning_rate=rate)
            return train(mpo.objective("orpo"), view, LINEAR, KEY, rated)

        return jax.vmap(one)(rates)

    sound = run(jnp.array([1e-2, 1e-3, 1e-2]))
    for rate in (jnp.nan, 1e4):
        params, metrics = run(jnp.array([1e-2, rate, 1e-2]))
        assert metrics.finite.tolist() == [True, False, True]
        others = np.array([0, 2])
        identical(*(jax.tree.map(lambda x: x[others], r) for r in ((params, metrics), sound)))
        assert all(jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(params))
        made = int(metrics.updates[1])
        assert made < 30
        assert np.all(np.isfinite(metrics.loss[1, :made]))
        assert np.all(np.isnan(metrics.loss[1, made:]))


def test_parameters_that_are_not_finite_from_the_start_are_reported(view):
    start = dataclasses.replace(LINEAR.init(KEY), log_std=jnp.array([jnp.nan, 0.0]))
    params, metrics = train(mpo.objective("sft"), view, LINEAR, KEY, hyper(updates=2), start=start)
    identical(params, start)
    assert not metrics.finite
    assert metrics.updates == 0


def test_progress_goes_from_zero_to_one(view):
    """The loss of the probe is its weight times progress, beside a term it does not change."""
    settings = hyper(updates=7, points=7)
    still, moving = (
        train(Probe(weight=weight), view, LINEAR, KEY, settings)[1].loss for weight in (0.0, 100.0)
    )
    np.testing.assert_allclose((moving - still) / 100, np.arange(7) / 6, atol=1e-5)
    only = [train(Probe(weight=w), view, LINEAR, KEY, hyper(updates=1))[1].loss for w in (0.0, 9.0)]
    assert only[0] == only[1], "a single update is the first, not the last"


def test_objectives_of_one_structure_are_compiled_once(view):
    settings = hyper(updates=2, batch=4)
    first = train(Probe(weight=1.0), view, LINEAR, KEY, settings)[1].loss
    Probe.traces.clear()
    slower = dataclasses.replace(settings, learning_rate=1e-5)
    second = train(Probe(weight=2.0), view, LINEAR, jax.random.key(4), slower)[1].loss
    assert not Probe.traces
    assert np.all(first != second)
    train(Probe(weight=2.0), view, LINEAR, KEY, hyper(updates=3, batch=4))
    assert len(Probe.traces) == 1


def test_metrics_are_means_over_stretches(view):
    def run(points):
        return train(mpo.objective("orpo"), view, LINEAR, KEY, hyper(updates=10, points=points))[1]

    fine, coarse = run(100), run(3)
    for name in ("loss", "accuracy", "margin", "chosen", "rejected", "gradient_norm"):
        each, means = getattr(fine, name), getattr(coarse, name)
        assert each.shape == (10,)
        wanted = [each[:4].mean(), each[4:8].mean(), each[8:].mean()]
        np.testing.assert_allclose(means, wanted, rtol=1e-5)
    np.testing.assert_allclose(fine.margin, fine.chosen - fine.rejected, atol=1e-5)
    assert fine.updates == coarse.updates == 10


def test_margins_are_relative_to_the_reference_where_there_is_one(view):
    metrics = train(mpo.objective("dpo"), view, LINEAR, KEY, hyper(updates=4, points=4))[1]
    assert metrics.margin[0] == 0, "before the first update the agent is its own reference"
    assert metrics.accuracy[0] == 0
    assert np.all(metrics.margin[1:] > 0)


def test_the_reference_is_the_sources_or_else_the_start(walks, reach):
    expert, start = reach.agent("expert"), LINEAR.init(KEY)
    settings = hyper(updates=3, batch=8)
    view = walks.view(5)

    def run(source):
        return train(mpo.objective("dpo"), source, LINEAR, KEY, settings, start=start)

    own = run(view)
    close(own, run(referenced(view, LINEAR, start)))
    other = run(referenced(view, LINEAR, expert))
    whole = walks.view()
    stored = dataclasses.replace(
        whole, ref_logp=log_probs(LINEAR, expert, whole.batch(jnp.arange(whole.size)))
    )
    close(run(stored), run(referenced(whole, LINEAR, expert)))
    assert np.all(np.abs(own[1].loss - other[1].loss) > 1e-3)


def test_segments_as_long_as_the_responses_are_the_responses(walks):
    settings = hyper(updates=5, batch=16)
    runs = [
        train(mpo.objective("orpo"), walks.view(steps), LINEAR, KEY, settings)
        for steps in (None, walks.steps)
    ]
    identical(*runs)


def test_padding_does_not_reach_the_parameters(ragged):
    settings, policy = hyper(epochs=3, batch=4), LINEAR
    padded = dataclasses.replace(
        ragged,
        inputs=np.where(ragged.mask[..., None], ragged.inputs, np.float32(1e30)),
        outputs=np.where(ragged.mask[..., None], ragged.outputs, np.float32(np.inf)),
    )
    for steps in (None, 4):
        runs = [
            train(mpo.objective("orpo"), dataset.view(steps), policy, KEY, settings)
            for dataset in (ragged, padded)
        ]
        identical(*runs)
        assert runs[0][1].finite


def test_what_an_objective_needs_and_the_data_lack_is_said(ragged):
    with pytest.raises(mpo.RequestError, match="'wdpo' needs 'reward'"):
        train(mpo.objective("wdpo"), ragged.view(), LINEAR, KEY, hyper(updates=1))
