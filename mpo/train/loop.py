"""The inner loop: train one agent under one objective, as a pure function."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from mpo.comparison import Comparison
from mpo.objectives import Objective
from mpo.pytree import pytree
from mpo.settings import Leaf
from mpo.train import metrics
from mpo.train.hyper import Hyper
from mpo.train.logprob import comparisons, log_probs
from mpo.train.metrics import Metrics, Recorder, Values
from mpo.train.order import Order
from mpo.train.source import Batch, Policy, Source

Params = Any  # a pytree of arrays
Loss = Callable[[Params, Int[Array, ""]], tuple[Float[Array, ""], Values]]


@partial(jax.jit, static_argnames=("policy",))
def train(
    objective: Objective,
    source: Source,
    policy: Policy,
    key: PRNGKeyArray,
    hyper: Hyper,
    *,
    start: Params | None = None,
) -> tuple[Params, Metrics]:
    """Train an agent by minimising `objective` over minibatches of `source`.

    Pure and compiled; `jax.vmap` goes over objectives of one structure, keys, learning
    rates and starts. Two trainings with the same key see the same minibatches, and start
    from the same agent: what antithetic partners need. At update n of N the objective is
    told the progress n/(N-1), from 0 to 1.

    An objective that needs reference log-probabilities takes those of the source, if it
    has them (see `referenced`), or else those of the agent before training.

    Args:
      objective: the loss.
      source: where the comparisons come from, such as `envs.data.View`.
      policy: the architecture of the agent.
      key: what the fresh agent and the order of the data are drawn from.
      hyper: the settings.
      start: parameters to start from; by default a fresh agent.

    Returns:
      The parameters after the last update, or before the first that was not finite, and
      the metrics.
    """
    training = begin(objective, source, policy, key, hyper, start)
    numbers = jnp.arange(training.updates, dtype=jnp.int32)
    last = jax.lax.scan(training.update, training.first, numbers)[0]
    return last.params, last.record.metrics(last.finite)


def begin(
    objective: Objective,
    source: Source,
    policy: Policy,
    key: PRNGKeyArray,
    hyper: Hyper,
    start: Params | None,
) -> "Training":
    """Return a training before its first update; the arguments are those of `train`."""
    init_key, order_key = jax.random.split(key)
    params = _strong(policy.init(init_key) if start is None else start)
    updates = hyper.count(source.size)
    order = Order.of(order_key, source.size, hyper.batch, updates)
    optimizer = hyper.build(updates)
    loss = _loss(objective, policy, source, order, updates, reference=params)
    stretch = -(-updates // hyper.points)

    def update(state: State, n: Int[Array, ""]) -> tuple[State, None]:
        (value, seen), gradient = jax.value_and_grad(loss, has_aux=True)(state.params, n)
        params, moments = optimizer.update(gradient, state.optimizer, state.params)
        finite = state.finite & _finite(params)
        seen |= {"loss": value, "gradient_norm": _norm(gradient)}
        return State(
            params=jax.tree.map(partial(jnp.where, finite), params, state.params),
            optimizer=moments,
            record=state.record.add(n // stretch, seen, finite),
            finite=finite,
        ), None

    first = State(
        params=params,
        optimizer=_strong(optimizer.init(params)),
        record=Recorder.empty(-(-updates // stretch)),
        finite=_finite(params),
    )
    return Training(first, update, updates)


@pytree
@dataclass(frozen=True)
class State:
    """What one update hands to the next."""

    params: Leaf
    optimizer: Leaf
    record: Recorder
    finite: Leaf


@dataclass(frozen=True)
class Training:
    """A training, to be carried out.

    Attributes:
      first: state before the first update.
      update: (state, number of the update) to (state, None), as `jax.lax.scan` has it.
      updates: how many there are.
    """

    first: State
    update: Callable[[State, Int[Array, ""]], tuple[State, None]]
    updates: int


def _loss(
    objective: Objective,
    policy: Policy,
    source: Source,
    order: Order,
    updates: int,
    reference: Params,
) -> Loss:
    """Return the loss of the parameters at an update, and what is recorded of it."""
    relative = "ref_logp" in objective.needs

    def reference_of(batch: Batch) -> Array | None:
        if not relative or batch.ref_logp is not None:
            return batch.ref_logp if relative else None
        return jax.lax.stop_gradient(log_probs(policy, reference, batch))

    def loss(params: Params, n: Int[Array, ""]) -> tuple[Float[Array, ""], Values]:
        batch = source.batch(order.items(n))
        seen = comparisons(policy, params, batch, reference_of(batch))
        progress = n.astype(seen.logp.dtype) / max(updates - 1, 1)
        losses = jax.vmap(objective, in_axes=(0, None))(seen, progress)
        return jnp.mean(losses), metrics.of_batch(_as_seen(objective, seen))

    return loss


def _as_seen(objective: Objective, seen: Comparison) -> Comparison:
    """Return the log-probabilities as the objective sees them."""
    if not objective.length_normalise:
        return seen
    return jax.vmap(Comparison.per_step)(dataclasses.replace(seen, reward=None))


def _finite(params: Params) -> Bool[Array, ""]:
    leaves = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(params)]
    return jnp.all(jnp.stack(leaves))


def _norm(gradient: Params) -> Float[Array, ""]:
    squares = [jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(gradient)]
    return jnp.sqrt(jnp.sum(jnp.stack(squares)))


def _strong(tree: Any) -> Any:
    """Return the tree without weak types, which an update would lose."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.asarray(leaf).dtype), tree)
