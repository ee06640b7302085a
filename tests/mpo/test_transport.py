"""Objectives of a whole minibatch: what they pair, what they leave alone, and that they train."""

import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_expit

import envs
import mpo
from mpo.errors import RequestError
from mpo.expressions import expression
from mpo.pytree import pytree
from mpo.train import Batch, hyper, train
from mpo.train.logprob import comparisons

NAMES = ("aot", "aot_unpaired")
PAIRS, BETA = 6, 0.5


def _batch(k=2):
    rng = np.random.default_rng(5)
    logp, ref_logp = rng.normal(-9, 2, (2, PAIRS, k))
    return mpo.Comparison(
        jnp.array(logp),
        jnp.array(rng.integers(1, 9, (PAIRS, k)) * 1.0),
        ref_logp=jnp.array(ref_logp),
    )


def _by_hand(name, batch):
    """Return the mean loss as the paper has it, from summed log-probabilities."""
    logp, ref_logp = np.asarray(batch.logp), np.asarray(batch.ref_logp)
    if name == "aot":
        low, high = ref_logp, logp
        gap = np.sort(high[:, 0] - high[:, -1]) - np.sort(low[:, 0] - low[:, -1])
    else:
        ratio = logp - ref_logp
        gap = np.sort(ratio[:, 0]) - np.sort(ratio[:, -1])
    return -np.mean(log_expit(BETA * gap))


def _mean(objective, batch, weight=None):
    seen, weight = objective.paired(batch, weight)
    losses = jax.vmap(objective)(seen)
    return jnp.mean(losses) if weight is None else jnp.sum(losses * weight) / jnp.sum(weight)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", NAMES)
def test_a_minibatch_is_sorted(name):
    """By sums or by the step, of the best and the worst of three; in any order; alone it is DPO."""
    objective = mpo.objective(name, beta=BETA)
    batch = _batch(k=3)
    assert _mean(objective, batch) == pytest.approx(_by_hand(name, batch), rel=1e-12)
    steps = mpo.objective(name, beta=BETA, length_normalise=True)
    divided = jax.vmap(mpo.Comparison.per_step)(batch)
    assert _mean(steps, batch) == pytest.approx(_by_hand(name, divided), rel=1e-12)
    turned = jax.tree.map(lambda leaf: leaf[::-1], batch)
    assert _mean(objective, turned) == pytest.approx(float(_mean(objective, batch)), rel=1e-12)
    dpo = mpo.objective("dpo", beta=BETA)
    assert _mean(objective, batch) != pytest.approx(float(_mean(dpo, batch)), rel=1e-3)
    one = jax.tree.map(lambda leaf: leaf[:1], batch)
    assert _mean(objective, one) == pytest.approx(float(_mean(dpo, one)), rel=1e-12)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", NAMES)
def test_comparisons_that_do_not_count_are_in_nobodys_pair(name):
    objective, batch = mpo.objective(name, beta=BETA), _batch()
    weight = jnp.array([1.0, 0.0, 1.0, 1.0, 0.0, 1.0])
    few = jax.tree.map(lambda leaf: leaf[weight > 0], batch)
    assert _mean(objective, batch, weight) == pytest.approx(_by_hand(name, few), rel=1e-12)
    slope = jax.grad(lambda logp: _mean(objective, dataclasses.replace(batch, logp=logp), weight))
    assert not np.any(np.asarray(slope(batch.logp))[np.asarray(weight) == 0])


def test_a_sorted_minibatch_needs_its_reference():
    bare = dataclasses.replace(_batch(), ref_logp=None)
    with pytest.raises(RequestError, match="'aot' needs 'ref_logp'"):
        mpo.objective("aot").paired(bare)


@pytest.mark.parametrize("name", NAMES)
def test_what_pairs_a_minibatch_anew_has_no_formula(name):
    with pytest.raises(RequestError, match=f"{name!r} has no formula: it pairs a whole minibatch"):
        expression(mpo.objective(name))


def test_other_objectives_leave_a_minibatch_as_it_is():
    batch, weight = _batch(), jnp.ones(PAIRS)
    for name, kind in mpo.OBJECTIVES.items():
        if not kind.whole:
            seen, own = mpo.objective(name).paired(batch, weight)
            assert seen is batch
            assert own is weight
    assert {name for name, kind in mpo.OBJECTIVES.items() if kind.whole} == {*NAMES}


@pytree
@dataclass(frozen=True)
class _Four:
    """Four comparisons that know their reference."""

    tokens: jax.Array
    ref_logp: jax.Array

    @property
    def size(self):
        return 4

    def batch(self, items):
        tokens = self.tokens[items]
        contexts = jnp.zeros(tokens.shape[:2], jnp.int32)
        return Batch(contexts, tokens, jnp.ones(tokens.shape, bool), None, self.ref_logp[items])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.sweep
def test_training_sorts_its_minibatches(name):
    task, rng = envs.task("token_bandit", vocabulary=10, horizon=4), np.random.default_rng(0)
    ref_logp = jnp.array(rng.normal(-9, 2, (4, 2)), jnp.float32)
    source = _Four(jnp.array(rng.integers(0, 10, (4, 2, 4)), jnp.int32), ref_logp)
    start = task.policy.init(jax.random.key(1))
    objective, descent = mpo.objective(name, beta=BETA), hyper(batch=4, updates=2)
    _, seen = train(objective, source, task.policy, jax.random.key(3), descent, start=start)
    whole = source.batch(jnp.arange(4))
    before = comparisons(task.policy, start, whole, ref_logp)
    assert seen.loss[0] == pytest.approx(_by_hand(name, before), rel=1e-5)
    assert seen.loss[1] < seen.loss[0]
