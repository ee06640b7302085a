"""The inner loop: train one agent by one algorithm, as a pure function.

A training is a scan over rounds of a scan over updates. At the beginning of a round the renewal
hands out a pool of comparisons; each update asks the slope for a direction on a minibatch of the
pool, and the optimizer follows it.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from mpo.comparison import Comparison
from mpo.errors import RequestError
from mpo.objectives.base import Objective
from mpo.pytree import pytree
from mpo.train import metrics
from mpo.train.algorithm import Algorithm, as_algorithm
from mpo.train.descent import Descent
from mpo.train.logprob import comparisons
from mpo.train.metrics import Metrics, Recorder, Values
from mpo.train.order import Order
from mpo.train.reference import Referenced
from mpo.train.source import Policy, Source

Params = Any  # a pytree of arrays


class _Stream(IntEnum):
    """Numbers folded into the key of a training, for randomness that offline training has none of.

    The key itself is split in two, for the fresh agent and for the order of the data.
    """

    RENEWAL = 1
    SLOPE = 2


@partial(jax.jit, static_argnames=("policy",))
def train(
    algorithm: Algorithm | Objective,
    source: Source | None,
    policy: Policy,
    key: PRNGKeyArray,
    hyper: Descent | None = None,
    *,
    start: Params | None = None,
) -> tuple[Params, Metrics]:
    """Train an agent by `algorithm`, on minibatches of what its renewal makes of `source`.

    Pure and compiled; `jax.vmap` goes over algorithms of one structure, keys and starts. Two
    trainings with the same key see the same minibatches, and start from the same agent: what
    antithetic partners need. At update n of N the objective is told the progress n/(N-1),
    from 0 to 1.

    An objective that needs reference log-probabilities takes those of the pool, if it has
    them (see `referenced`), or else those of the agent before training, computed once a round.

    Args:
      algorithm: how; or an objective alone, which is trained on fixed data by gradients.
      source: where the comparisons come from, such as `envs.data.View`; `None` where a renewal
        needs none, as it writes them all.
      policy: the architecture of the agent.
      key: what the fresh agent, the order of the data and everything else is drawn from.
      hyper: settings of the inner loop, in place of the algorithm's own.
      start: parameters to start from; by default a fresh agent.

    Returns:
      The parameters after the last update, or before the first that was not finite, and
      the metrics.

    Raises:
      RequestError: the rounds of the renewal do not divide the updates.
    """
    training = begin(as_algorithm(algorithm, hyper), source, policy, key, start)

    def updates(round_: "Round", state: "State") -> "State":
        return jax.lax.scan(round_.update, state, round_.numbers)[0]

    last, seen = training.carried_out(updates)
    return last.params, last.record.metrics(last.finite, seen)


@partial(jax.jit, static_argnames=("policy", "moments"))
def snapshots(
    algorithm: Algorithm | Objective,
    source: Source | None,
    policy: Policy,
    key: PRNGKeyArray,
    hyper: Descent | None = None,
    moments: int = 2,
    *,
    start: Params | None = None,
) -> Params:
    """Return the parameters at `moments` moments of what `train` does, on a leading axis.

    The first are those before training, the last those that `train` returns for the same
    arguments; see `updates_before` for those between.
    """
    training = begin(as_algorithm(algorithm, hyper), source, policy, key, start)
    made = updates_before(moments, training.updates)
    spans = jnp.asarray(np.stack([np.append(0, made[:-1]), made], axis=1), jnp.int32)
    if training.rounds > 1:
        return _snapshots_of_rounds(training, spans)
    seen: list[Params] = []

    def updates(round_: "Round", state: "State") -> "State":
        def stretch(state: "State", span: Int[Array, "2"]) -> "tuple[State, Params]":
            last = _stretch(round_, state, span[0], span[1])
            return last, last.params

        last, params = jax.lax.scan(stretch, state, spans)
        seen.append(params)
        return last

    training.carried_out(updates)
    return seen[0]


@partial(jax.jit, static_argnames=("policy",))
def replay(
    descent: Descent,
    policy: Policy,
    key: PRNGKeyArray,
    scalars: Float[Array, "rounds updates q"],
    *,
    start: Params | None = None,
    hints: Params | None = None,
) -> Params:
    """Return the agent of a training without gradients, from what it was told: no data, no loss.

    Args:
      descent: how it was trained, by a slope that can be told again.
      policy: the architecture of the agent.
      key: of the training.
      scalars: its `Metrics.rounds["scalars"]`, recorded with the slope's `keep`.
      start: parameters it started from; by default a fresh agent.
      hints: what the renewal of its data proposed to guided slopes, each round, on a leading axis.
    """
    params = _strong(policy.init(jax.random.split(key)[0]) if start is None else start)
    slope_key = jax.random.fold_in(key, _Stream.SLOPE)
    rounds, length = scalars.shape[:2]
    optimizer, moving = descent.build(rounds * length), Moving.of(policy, params)
    slope: Any = descent.slope

    def one(carry: Any, at: Any) -> tuple[Any, None]:
        params, moments, state = carry
        number, told, hint = at
        state = slope.turn(state, moving.part(params), hint)

        def update(carry: Any, at: Any) -> tuple[Any, None]:
            params, moments, state = carry
            n, own = at
            direction, state = slope.told_again(
                own, moving.part(params), state, jax.random.fold_in(slope_key, n)
            )
            direction = moving.whole(direction, jax.tree.map(jnp.zeros_like, params))
            params, moments = optimizer.update(direction, moments, params)
            return (params, moments, state), None

        numbers = number * length + jnp.arange(length, dtype=jnp.int32)
        return jax.lax.scan(update, (params, moments, state), (numbers, told))

    first = (
        params,
        _strong(optimizer.init(params)),
        _strong(slope.init(moving.part(params), length)),
    )
    turns = jnp.arange(rounds, dtype=jnp.int32)
    (last, _, _), _ = jax.lax.scan(one, first, (turns, scalars, hints))
    return last


def descend(
    loss: Callable[[Params, PRNGKeyArray], Float[Array, ""]],
    start: Params,
    descent: Descent,
    key: PRNGKeyArray,
    rounds: int = 1,
) -> tuple[Params, Values]:
    """Descend any function of parameters, with the slopes and optimizers of a training.

    For what no comparison tells: a true return, say, which has no gradient.

    Args:
      loss: parameters and a key to a number; both values of a difference are given one key.
      start: the parameters to begin at.
      descent: how, with `updates` in all.
      key: what losses and slopes are drawn from.
      rounds: of equal length, after each of which a guided slope takes a new guide.

    Returns:
      The last parameters, and by name what the slope reports of each round, beside the mean `loss`
      of each, shape [rounds].

    Raises:
      RequestError: the rounds do not divide the updates, or there is no number of them.
    """
    if descent.updates is None or rounds < 1 or descent.updates % rounds:
        raise RequestError(f"{rounds} rounds do not divide updates={descent.updates}")
    length = descent.updates // rounds
    optimizer, slope = descent.build(descent.updates), descent.slope
    params = _strong(start)
    loss_key, slope_key = (jax.random.fold_in(key, stream) for stream in _Stream)

    def one(carry: Any, number: Int[Array, ""]) -> tuple[Any, Values]:
        params, moments, state = carry
        state = slope.turn(state, params, None)

        def update(carry: Any, n: Int[Array, ""]) -> tuple[Any, Array]:
            params, moments, state = carry
            own = jax.random.fold_in(loss_key, n)
            value, _, direction, state = slope(
                lambda p: (loss(p, own), {}), params, state, jax.random.fold_in(slope_key, n)
            )
            params, moments = optimizer.update(direction, moments, params)
            return (params, moments, state), value

        numbers = number * length + jnp.arange(length, dtype=jnp.int32)
        carry, values = jax.lax.scan(update, (params, moments, state), numbers)
        return carry, {"loss": jnp.mean(values), **slope.report(carry[2])}

    first = (params, _strong(optimizer.init(params)), _strong(slope.init(params, length)))
    (last, _, _), seen = jax.lax.scan(one, first, jnp.arange(rounds, dtype=jnp.int32))
    return last, seen


@partial(jax.jit, static_argnames=("policy",))
def opening(
    algorithm: Algorithm | Objective,
    source: Source | None,
    policy: Policy,
    key: PRNGKeyArray,
    *,
    start: Params | None = None,
) -> "tuple[tuple[State, Any], Int[Array, '']]":
    """Return what the first round of a training is handed, and how many updates there are in all.

    With `rounds_on` it is `train` in stretches, between which it can be saved: the same bits.
    """
    training = begin(as_algorithm(algorithm), source, policy, key, start)
    return (training.first, training.renewing), jnp.int32(training.updates)


@partial(jax.jit, static_argnames=("policy", "rounds"))
def rounds_on(
    algorithm: Algorithm | Objective,
    source: Source | None,
    policy: Policy,
    key: PRNGKeyArray,
    carry: "tuple[State, Any]",
    first: Int[Array, ""],
    rounds: int,
    *,
    start: Params | None = None,
) -> "tuple[tuple[State, Any], Values]":
    """Make some rounds of a training, from number `first` on.

    The other arguments are those of `opening`.

    Returns:
      What the next round is handed, and what was recorded of each.
    """
    training = begin(as_algorithm(algorithm), source, policy, key, start)

    def updates(round_: "Round", state: "State") -> "State":
        return jax.lax.scan(round_.update, state, round_.numbers)[0]

    return training.onward(updates, carry, first, rounds)


def updates_before(moments: int, updates: int) -> Int[np.ndarray, "moments"]:
    """Return how many of the `updates` are made at each of some equally spaced moments.

    None at the first moment, all at the last.

    Raises:
      RequestError: there are fewer than two moments.
    """
    if moments < 2:
        raise RequestError(f"a training is looked at in at least 2 moments, not {moments}")
    return np.linspace(0, updates, moments).round().astype(np.int32)


@pytree
@dataclass(frozen=True)
class State:
    """What one update hands to the next.

    Attributes:
      params: the agent's parameters.
      optimizer: state of the optimizer.
      slope: state of the slope.
      record: sums of the metrics.
      finite: whether every update so far was.
    """

    params: Any
    optimizer: Any
    slope: Any
    record: Recorder
    finite: Bool[Array, ""]


@dataclass(frozen=True)
class Moving:
    """The arrays of an agent that training moves; a normaliser of observations, say, it does not.

    Attributes:
      mask: of each array of the parameters whether it is one of them; `None` where all are.
    """

    mask: Any

    @classmethod
    def of(cls, policy: Policy, params: Params) -> "Moving":
        """Return those of a policy: what its method `trained` says, if it has one, or all."""
        trained = getattr(policy, "trained", None)
        return cls(None if trained is None else trained(params))

    def part(self, params: Params) -> Params:
        """Return the arrays that move, in a tree without the others."""
        if self.mask is None:
            return params
        return jax.tree.map(lambda moves, leaf: leaf if moves else None, self.mask, params)

    def whole(self, part: Params, rest: Params) -> Params:
        """Return a whole tree, of a part and what the others are."""
        if self.mask is None:
            return part
        return jax.tree.map(
            lambda moves, leaf, other: leaf if moves else other, self.mask, part, rest
        )

    def loss(
        self, loss: Callable[[Params], tuple[Float[Array, ""], Values]], rest: Params
    ) -> Callable[[Params], tuple[Float[Array, ""], Values]]:
        """Return a loss of the part that moves."""
        if self.mask is None:
            return loss
        return lambda part: loss(self.whole(part, rest))


@dataclass(frozen=True)
class Round:
    """The updates that are made on one pool.

    Attributes:
      update: (state, number of the update) to (state, None), as `jax.lax.scan` has it.
      numbers: of its updates, counted through the whole training.
      report: the state at its end to what is recorded of it.
    """

    update: Callable[[State, Int[Array, ""]], tuple[State, None]]
    numbers: Int[Array, "updates"]
    report: Callable[[State], Values]


@dataclass(frozen=True)
class Training:
    """A training, to be carried out.

    Attributes:
      first: state before the first update.
      renewing: state of the renewal before the first round.
      round: (number of a round, state, state of the renewal) to the round, the state at its
        beginning and that of the renewal.
      rounds: how many there are.
      updates: how many in all of them.
    """

    first: State
    renewing: Any
    round: Callable[[Int[Array, ""], State, Any], tuple[Round, State, Any]]
    rounds: int
    updates: int

    def carried_out(self, updates: Callable[[Round, State], State]) -> tuple[State, Values]:
        """Return the state after all rounds, and what is recorded of each, on a leading axis.

        The updates of each are made by `updates`.
        """
        (last, _), seen = self.onward(updates, (self.first, self.renewing), 0, self.rounds)
        return last, seen

    def onward(
        self,
        updates: Callable[[Round, State], State],
        carry: tuple[State, Any],
        first: Int[Array, ""] | int,
        rounds: int,
    ) -> tuple[tuple[State, Any], Values]:
        """Return what one round hands to the next after some of them, and what is recorded."""

        def one(
            carry: tuple[State, Any], number: Int[Array, ""]
        ) -> tuple[tuple[State, Any], Values]:
            round_, state, renewing = self.round(number, *carry)
            state = updates(round_, state)
            return (state, renewing), round_.report(state)

        numbers = jnp.arange(rounds, dtype=jnp.int32)
        if self.rounds == 1:  # no loop: offline training holds its data once, in no carry
            carry, seen = one(carry, numbers[0])
            return carry, jax.tree.map(lambda leaf: leaf[None], seen)
        found: tuple[tuple[State, Any], Values] = jax.lax.scan(one, carry, first + numbers)
        return found


def begin(
    algorithm: Algorithm,
    source: Source | None,
    policy: Policy,
    key: PRNGKeyArray,
    start: Params | None,
) -> Training:
    """Return a training before its first update; the arguments are those of `train`."""
    objective, renewal, descent = algorithm.objective, algorithm.renewal, algorithm.descent
    init_key, order_key = jax.random.split(key)
    renewal_key, slope_key = (jax.random.fold_in(key, stream) for stream in _Stream)
    params = _strong(policy.init(init_key) if start is None else start)
    updates = _count(descent, source)
    rounds = _rounds(renewal, updates, descent.batch)
    optimizer, slope = descent.build(updates), descent.slope
    moving = Moving.of(policy, params)
    stretch = -(-updates // descent.points)

    def round_(number: Int[Array, ""], state: State, renewing: Any) -> tuple[Round, State, Any]:
        own_key = jax.random.fold_in(renewal_key, number)
        pool, renewing = renewal(source, policy, state.params, renewing, own_key, number)
        pool = _with_reference(objective, pool, policy, params, descent.batch)
        order = Order.of(order_key, pool.size, descent.batch, updates)
        loss = _loss(objective, policy, pool, order, updates)

        def update(state: State, n: Int[Array, ""]) -> tuple[State, None]:
            value, seen, direction, own = slope(
                moving.loss(partial(loss, n=n), state.params),
                moving.part(state.params),
                state.slope,
                jax.random.fold_in(slope_key, n),
            )
            direction = moving.whole(direction, jax.tree.map(jnp.zeros_like, state.params))
            params, moments = optimizer.update(direction, state.optimizer, state.params)
            finite = state.finite & _finite(params)
            seen |= {"loss": value, "gradient_norm": _norm(direction)}
            return State(
                params=jax.tree.map(partial(jnp.where, finite), params, state.params),
                optimizer=moments,
                slope=own,
                record=state.record.add(n // stretch, seen, finite),
                finite=finite,
            ), None

        length = updates // rounds
        numbers = jnp.arange(length, dtype=jnp.int32)
        if rounds > 1:
            numbers = number * length + numbers
        hint = renewal.hint(renewing)
        turned = slope.turn(
            state.slope, moving.part(state.params), None if hint is None else moving.part(hint)
        )

        def report(state: State) -> Values:
            seen: Values = renewal.report(pool, policy, state.params, renewing)
            return {**seen, **slope.report(state.slope)}

        return Round(update, numbers, report), dataclasses.replace(state, slope=turned), renewing

    first = State(
        params=params,
        optimizer=_strong(optimizer.init(params)),
        slope=_strong(slope.init(moving.part(params), updates // rounds)),
        record=Recorder.empty(-(-updates // stretch)),
        finite=_finite(params),
    )
    renewing = _strong(renewal.init(source, policy, params, renewal_key))
    return Training(first, renewing, round_, rounds, updates)


def _count(descent: Descent, source: Source | None) -> int:
    if source is not None:
        return descent.count(source.size)
    if descent.updates is None:
        raise RequestError("a training without data has no epochs: say how many 'updates'")
    return descent.updates


def _rounds(renewal: Any, updates: int, batch: int) -> int:
    rounds = int(renewal.rounds(updates, batch))
    if rounds < 1 or updates % rounds:
        raise RequestError(
            f"{updates} updates cannot be cut into {rounds} rounds of one length: choose 'updates' "
            "that the rounds of the renewal divide"
        )
    return rounds


def _with_reference(
    objective: Objective, pool: Source, policy: Policy, reference: Params, batch: int
) -> Source:
    """Return a pool that knows log π_ref of its items, if the objective asks for it."""
    if "ref_logp" not in objective.needs:
        return pool
    items = jax.ShapeDtypeStruct((1,), jnp.int32)
    if jax.eval_shape(pool.batch, items).ref_logp is not None:
        return pool
    return Referenced.of(pool, policy, reference, chunk=batch)


def _loss(
    objective: Objective, policy: Policy, pool: Source, order: Order, updates: int
) -> Callable[..., tuple[Float[Array, ""], Values]]:
    """Return the loss of the parameters at update `n`, and what is recorded of it."""
    relative = "ref_logp" in objective.needs

    def loss(params: Params, n: Int[Array, ""]) -> tuple[Float[Array, ""], Values]:
        batch = pool.batch(order.items(n))
        seen = comparisons(policy, params, batch, batch.ref_logp if relative else None)
        progress = n.astype(seen.logp.dtype) / max(updates - 1, 1)
        compared, weight = objective.paired(seen, batch.weight)
        losses = jax.vmap(objective, in_axes=(0, None))(compared, progress)
        return _mean(losses, weight), metrics.of_batch(_as_seen(objective, seen))

    return loss


def _mean(losses: Float[Array, "B"], weight: Float[Array, "B"] | None) -> Float[Array, ""]:
    """Return the mean over the comparisons that count; 0 where none does."""
    if weight is None:
        return jnp.mean(losses)
    counted = jnp.where(weight > 0, weight * losses, jnp.zeros_like(losses))
    return jnp.sum(counted) / jnp.maximum(jnp.sum(weight), 1)


def _stretch(round_: Round, state: State, first: Int[Array, ""], beyond: Int[Array, ""]) -> State:
    """Return the state after the updates from `first` to before `beyond`."""
    last: State = jax.lax.fori_loop(
        first, beyond, lambda n, state: round_.update(state, n)[0], state
    )
    return last


def _snapshots_of_rounds(training: Training, spans: Int[Array, "moments 2"]) -> Params:
    """Return the parameters at the end of each span of updates, where pools are renewed."""
    moments = spans.shape[0]
    first = jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf, (moments, *leaf.shape)), training.first.params
    )

    def one(carry: Any, number: Int[Array, ""]) -> tuple[Any, None]:
        state, renewing, seen = carry
        round_, state, renewing = training.round(number, state, renewing)
        ends = (round_.numbers[0], round_.numbers[-1] + 1)
        inside = jnp.clip(spans, *ends)

        def stretch(state: State, span: Int[Array, "2"]) -> tuple[State, Params]:
            last = _stretch(round_, state, span[0], span[1])
            return last, last.params

        state, params = jax.lax.scan(stretch, state, inside)
        here = (spans[:, 1] > ends[0]) & (spans[:, 1] <= ends[1])

        def kept(new: Array, old: Array) -> Array:
            return jnp.where(here.reshape(-1, *[1] * (new.ndim - 1)), new, old)

        return (state, renewing, jax.tree.map(kept, params, seen)), None

    numbers = jnp.arange(training.rounds, dtype=jnp.int32)
    return jax.lax.scan(one, (training.first, training.renewing, first), numbers)[0][2]


def _as_seen(objective: Objective, seen: Comparison) -> Comparison:
    """Return the log-probabilities as the objective sees them."""
    if not objective.length_normalise:
        return seen
    bare = dataclasses.replace(seen, reward=None, sampled_logp=None, credit=None)
    return jax.vmap(Comparison.per_step)(bare)


def _finite(params: Params) -> Bool[Array, ""]:
    leaves = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(params)]
    return jnp.all(jnp.stack(leaves))


def _norm(direction: Params) -> Float[Array, ""]:
    squares = [jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(direction)]
    return jnp.sqrt(jnp.sum(jnp.stack(squares)))


def _strong(tree: Any) -> Any:
    """Return the tree without weak types, which an update would lose."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.asarray(leaf).dtype), tree)
