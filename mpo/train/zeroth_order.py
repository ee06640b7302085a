"""Slopes without gradients: from a few values of the loss near the parameters.

Each draws a direction z and asks how the loss changes along it, s; the slope is s·z, the mean over
a few draws. `SPSA` compares two values, `ForwardGradient` differentiates along z, and `Guided`
chooses z near the way that the last round went. A direction is drawn from its key each time that it
is needed, so a training can be told again from its scalars s alone (`replay`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, final

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from mpo.errors import RequestError
from mpo.pytree import pytree
from mpo.settings import Checked, Number, count, number, one_of, switch
from mpo.train.slopes import Loss, Slope, Values

Params = Any  # a pytree of arrays
Flat = Float[Array, " d"]


def _sphere(key: PRNGKeyArray, size: int) -> Flat:
    drawn = jax.random.normal(key, (size,))
    return drawn * (jnp.sqrt(float(size)) / jnp.linalg.norm(drawn))


NOISES: Mapping[str, Callable[[PRNGKeyArray, int], Flat]] = MappingProxyType(
    {
        "gaussian": lambda key, size: jax.random.normal(key, (size,)),
        "rademacher": lambda key, size: jax.random.rademacher(key, (size,), float),
        "sphere": _sphere,
    }
)
"""How directions are drawn; each has mean square 1 an entry."""

WHOLE, LEAF = SCOPES = ("whole", "leaf")
"""What has a norm and a projection of its own: all parameters together, or each array of them."""

PREVIOUS, UNIT, GAUSSIAN = MAGNITUDES = ("previous", "unit", "gaussian")
"""How long a guided direction is: as the step of the last round, 1, or √d, as noise is."""

DECAYS: Mapping[str, Callable[[Array, Array, Array], Array]] = MappingProxyType(
    {
        "linear": lambda first, k, length: jnp.clip(first - k / length, 0.0, 1.0),
        "exponential": lambda first, k, length: first * jnp.exp(-k),
        "constant": lambda first, k, length: first,
    }
)
"""How the weight of the guide falls within a round, at update k of its `length`."""

BACKWARD, SPSA_FIRST = FIRST = ("backward", "spsa")
"""What the first round is made by, when there is nothing yet to be guided by."""


class Seen(NamedTuple):
    """What a draw told.

    Attributes:
      scalar: s, how the loss changes along the direction, for a unit of its length.
      value: the loss.
      values: what is recorded of it.
      apart: whether the two values of the loss differ.
    """

    scalar: Float[Array, ""]
    value: Float[Array, ""]
    values: Values
    apart: Bool[Array, ""]


@pytree
@dataclass(frozen=True)
class Sums:
    """What a slope reports of a round.

    Attributes:
      steps: updates so far.
      change: sum of |s| over them.
      equal: in how many draws the two values of the loss were the same.
      scalars: all of them, shape [updates, q], if they are kept; or nothing.
    """

    steps: Int[Array, ""]
    change: Float[Array, ""]
    equal: Float[Array, ""]
    scalars: Float[Array, "updates q"] | None

    @classmethod
    def empty(cls, scalars: Array | None) -> "Sums":
        """Return the sums of no update."""
        zero = jnp.zeros(())
        kept = None if scalars is None else jnp.zeros_like(scalars)
        return cls(jnp.zeros((), jnp.int32), zero, zero, kept)

    def add(self, scalars: Float[Array, " q"], equal: Float[Array, ""]) -> "Sums":
        """Return the sums with one update more."""
        kept = None if self.scalars is None else self.scalars.at[self.steps].set(scalars)
        change = self.change + jnp.mean(jnp.abs(scalars))
        return Sums(self.steps + 1, change, self.equal + equal, kept)

    def report(self) -> Values:
        """Return means over the updates, and the scalars if they are kept."""
        made = jnp.maximum(self.steps, 1).astype(float)
        seen = {"change": self.change / made, "equal": self.equal / made}
        return seen if self.scalars is None else {**seen, "scalars": self.scalars}


def differences(
    loss: Loss, params: Params, z: Callable[[], Params], epsilon: Number, length: Array
) -> Seen:
    """Compare the loss at two points on either side of the parameters.

    Args:
      loss: parameters to the loss, and what is recorded of it.
      params: θ.
      z: draws the direction, the same each time.
      epsilon: how far both points are from θ.
      length: ‖z‖.
    """
    step = epsilon / jnp.maximum(length, _TINY)

    def at(sign: float, after: Array) -> tuple[Array, Values]:
        # Held back until the other one is done, or both trees of parameters would be alive.
        here, _ = jax.lax.optimization_barrier((params, after))
        moved = jax.tree.map(lambda p, d: p + (sign * step).astype(p.dtype) * d, here, z())
        return loss(moved)

    above, seen = at(1.0, jnp.zeros(()))
    below, other = at(-1.0, above)
    return Seen(
        scalar=(above - below).astype(float) / (2 * step),
        value=(above + below) / 2,
        values=jax.tree.map(lambda one, two: (one + two) / 2, seen, other),
        apart=above != below,
    )


_TINY = 1e-30


def noise(key: PRNGKeyArray, like: Params, kind: str = GAUSSIAN) -> Params:
    """Draw a direction shaped like `like`, of mean square 1 an entry, by a name of `NOISES`."""
    flat, unravel = ravel_pytree(like)  # one draw for all leaves: compiling one each is slow
    with jax.numpy_dtype_promotion("standard"):
        drawn: Params = unravel(NOISES[kind](key, flat.size).astype(flat.dtype))
    return drawn


def guided(
    noise: Params,
    along: Params,
    away: Params | None,
    alpha: Float[Array, ""] | float,
    *,
    scope: str = WHOLE,
    magnitude: str = PREVIOUS,
) -> Params:
    """Return α Δπ + √(1 − α²) u, u the noise without what it has of ΔR, made as long as Δπ.

    Where Δπ is zero the noise stands alone.

    Args:
      noise: a direction that was drawn.
      along: Δπ, the way of the last round, shaped like it.
      away: ΔR, whose part is taken out; `None` or zero for none.
      alpha: the weight of the guide, in [0, 1].
      scope: a name of `SCOPES`.
      magnitude: of `MAGNITUDES`.
    """
    rest = noise
    if away is not None:
        square = _dots(scope, away, away)
        inner = _dots(scope, noise, away)
        rest = jax.tree.map(
            lambda u, r, i, s: u - jnp.where(s > 0, i / jnp.maximum(s, _TINY), 0.0) * r,
            noise, away, inner, square,
        )  # fmt: skip
    way, own = (jax.tree.map(jnp.sqrt, _dots(scope, one, one)) for one in (along, rest))
    sizes = _sizes(scope, along)

    def mixed(d: Array, u: Array, way: Array, own: Array, size: float) -> Array:
        usual = jnp.sqrt(size)
        goal = {PREVIOUS: way, UNIT: jnp.ones(()), GAUSSIAN: usual}[magnitude]
        known = way > 0
        toward = d * (goal / jnp.maximum(way, _TINY))
        beside = u if magnitude == GAUSSIAN else u * (goal / jnp.maximum(own, _TINY))
        weight = jnp.asarray(alpha, float)
        found = weight * toward + jnp.sqrt(1 - weight**2) * beside
        plain = {PREVIOUS: usual, UNIT: jnp.ones(()), GAUSSIAN: own}[magnitude]
        return jnp.where(known, found, u * (plain / jnp.maximum(own, _TINY)))

    return jax.tree.map(mixed, along, rest, way, own, sizes)


def _dots(scope: str, one: Params, other: Params) -> Params:
    """Return the inner product at every leaf: its own, or that of the whole."""
    each = jax.tree.map(lambda a, b: jnp.sum(a.astype(float) * b.astype(float)), one, other)
    return each if scope == LEAF else _spread(sum(jax.tree.leaves(each)), each)


def _sizes(scope: str, tree: Params) -> Params:
    each = jax.tree.map(lambda leaf: float(leaf.size), tree)
    return each if scope == LEAF else _spread(sum(jax.tree.leaves(each)), each)


def _spread(value: Any, like: Params) -> Params:
    return jax.tree.map(lambda leaf: value, like)


def _length(tree: Params) -> Float[Array, ""]:
    return jnp.sqrt(sum(jax.tree.leaves(_dots(LEAF, tree, tree))))


def _mean_of_draws(
    draws: int, key: PRNGKeyArray, one: Callable[[PRNGKeyArray], tuple[Params, Seen]]
) -> tuple[Params, Seen]:
    """Return the mean of s·z over the draws, one after another, and what each told."""
    if draws == 1:
        z, seen = one(key)
        told = jax.tree.map(lambda leaf: leaf[None], seen)
        return jax.tree.map(lambda d: seen.scalar.astype(d.dtype) * d, z), told

    def step(total: Params, number: Array) -> tuple[Params, Seen]:
        z, seen = one(jax.random.fold_in(key, number))
        share = seen.scalar / draws
        return jax.tree.map(lambda t, d: t + share.astype(d.dtype) * d, total, z), seen

    like = jax.eval_shape(lambda: one(key)[0])
    zero = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), like)
    found: tuple[Params, Seen] = jax.lax.scan(step, zero, jnp.arange(draws, dtype=jnp.int32))
    return found


def _told_again(
    scalars: Float[Array, " q"], key: PRNGKeyArray, z: Callable[[PRNGKeyArray], Params]
) -> Params:
    """Return the mean of s·z, given each s."""
    zero = jnp.zeros(())

    def one(key: PRNGKeyArray, scalar: Array) -> tuple[Params, Seen]:
        return z(key), Seen(scalar, zero, {}, zero > 0)

    draws = scalars.shape[0]
    if draws == 1:
        return _mean_of_draws(1, key, lambda key: one(key, scalars[0]))[0]

    def step(total: Params, at: tuple[Array, Array]) -> tuple[Params, None]:
        number, scalar = at
        direction = z(jax.random.fold_in(key, number))
        share = scalar / draws
        return jax.tree.map(lambda t, d: t + share.astype(d.dtype) * d, total, direction), None

    like = jax.eval_shape(lambda: z(key))
    first = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), like)
    return jax.lax.scan(step, first, (jnp.arange(draws, dtype=jnp.int32), scalars))[0]


class _Drawn(Checked):
    """What slopes by drawn directions share: `samples` and `keep` are settings of each."""

    samples: int
    keep: bool

    def _sums(self, updates: int) -> Sums:
        return Sums.empty(jnp.zeros((updates, self.samples)) if self.keep else None)

    def _slope(
        self,
        key: PRNGKeyArray,
        sums: Sums,
        one: Callable[[PRNGKeyArray], tuple[Params, Seen]],
    ) -> tuple[Float[Array, ""], Values, Params, Sums]:
        direction, told = _mean_of_draws(self.samples, key, one)
        equal = 1 - jnp.mean(told.apart.astype(float))
        mean = jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), told.values)
        return jnp.mean(told.value), mean, direction, sums.add(told.scalar, equal)


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class SPSA(_Drawn):
    """Two values of the loss on either side, along noise: MeZO, in the words of language models.

    Attributes:
      epsilon: how far both points are from the parameters, ‖εz‖; along a Gaussian direction of d
        entries the usual ε is this over √d.
      samples: q, directions in an update.
      noise: how they are drawn: a name of `NOISES`.
      keep: whether every s is recorded, for a `replay`.
    """

    what = "the slope 'spsa'"

    epsilon: Number = number(1e-2, above=0.0)
    samples: int = count(1)
    noise: str = one_of(GAUSSIAN, NOISES)
    keep: bool = switch(False)

    def init(self, params: Params, updates: int) -> Sums:
        """Return what is reported of no update."""
        return self._sums(updates)

    def turn(self, state: Sums, params: Params, hint: Params | None) -> Sums:
        """Begin a new report."""
        return Sums.empty(state.scalars)

    def report(self, state: Sums) -> Values:
        """Return the mean |s| as `change`, and the share of draws whose values were `equal`."""
        return state.report()

    def __call__(
        self, loss: Loss, params: Params, state: Sums, key: PRNGKeyArray
    ) -> tuple[Float[Array, ""], Values, Params, Sums]:
        """Return the loss and s·z."""

        def one(key: PRNGKeyArray) -> tuple[Params, Seen]:
            z = self.direction(params, state, key)
            seen = differences(
                loss, params, lambda: self.direction(params, state, key), self.epsilon, _length(z)
            )
            return z, seen

        return self._slope(key, state, one)

    def direction(self, params: Params, state: Sums, key: PRNGKeyArray) -> Params:
        """Draw z."""
        return noise(key, params, self.noise)

    def told_again(
        self, scalars: Float[Array, " q"], params: Params, state: Sums, key: PRNGKeyArray
    ) -> tuple[Params, Sums]:
        """Return s·z and the next state, given each s of an update."""
        told = _told_again(scalars, key, lambda key: self.direction(params, state, key))
        return told, state.add(scalars, jnp.zeros(()))


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class ForwardGradient(_Drawn):
    """The derivative along noise, by forward-mode differentiation: no ε, and nothing is stored.

    Attributes:
      samples: q, directions in an update.
      noise: how they are drawn: a name of `NOISES`.
      keep: whether every s is recorded, for a `replay`.
    """

    what = "the slope 'forward_gradient'"

    samples: int = count(1)
    noise: str = one_of(GAUSSIAN, NOISES)
    keep: bool = switch(False)

    def init(self, params: Params, updates: int) -> Sums:
        """Return what is reported of no update."""
        return self._sums(updates)

    def turn(self, state: Sums, params: Params, hint: Params | None) -> Sums:
        """Begin a new report."""
        return Sums.empty(state.scalars)

    def report(self, state: Sums) -> Values:
        """Return the mean |s| as `change`, and the share of draws whose s was 0 as `equal`."""
        return state.report()

    def __call__(
        self, loss: Loss, params: Params, state: Sums, key: PRNGKeyArray
    ) -> tuple[Float[Array, ""], Values, Params, Sums]:
        """Return the loss and s·z."""

        def one(key: PRNGKeyArray) -> tuple[Params, Seen]:
            z = self.direction(params, state, key)
            value, scalar, values = jax.jvp(loss, (params,), (z,), has_aux=True)
            return z, Seen(scalar.astype(float), value, values, scalar != 0)

        return self._slope(key, state, one)

    def direction(self, params: Params, state: Sums, key: PRNGKeyArray) -> Params:
        """Draw z."""
        return noise(key, params, self.noise)

    def told_again(
        self, scalars: Float[Array, " q"], params: Params, state: Sums, key: PRNGKeyArray
    ) -> tuple[Params, Sums]:
        """Return s·z and the next state, given each s of an update."""
        told = _told_again(scalars, key, lambda key: self.direction(params, state, key))
        return told, state.add(scalars, jnp.zeros(()))


@pytree
@dataclass(frozen=True)
class Guide:
    """What a guided slope remembers.

    Attributes:
      begun: the parameters at the beginning of this round.
      along: Δπ, the way of the round before.
      away: ΔR, whose part is taken out of the noise; zero for none.
      alike: the cosine of Δπ with the one before it.
      turns: of the data's rounds so far.
      k: updates since this round began.
      length: how many it has.
      sums: what is reported.
    """

    begun: Any
    along: Any
    away: Any
    alike: Float[Array, ""]
    turns: Int[Array, ""]
    k: Int[Array, ""]
    length: Float[Array, ""]
    sums: Sums


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class Guided(_Drawn):
    """Two values of the loss along z = α Δπ + √(1 − α²) u: ZOPrO's policy–reward guidance.

    Δπ is the way of the last round, and u noise without its part along ΔR, a direction that the
    renewal of the data proposes (the last change of a reward model). α falls within a round.

    Attributes:
      epsilon: how far both points are from the parameters, ‖εz‖.
      samples: q, directions in an update.
      noise: how u is drawn: a name of `NOISES`.
      alpha: α at the beginning of a round.
      decay: how it falls: a name of `DECAYS`.
      scope: what has a norm of its own: a name of `SCOPES`. The paper's formulas have one for the
        whole, its code one for each array.
      magnitude: how long z is: a name of `MAGNITUDES`. The paper's "previous" scales an update by
        ‖Δπ‖², so that rounds die out or explode; "gaussian" is as long as noise is.
      every: rounds of the data that make a round of the guide.
      first: what the first round is made by: a name of `FIRST`.
      first_scale: what its slope is multiplied by, as a gradient is of another size.
      projected: whether u is rid of its part along ΔR; without, it is a control.
      shuffled: whether the entries of Δπ are put in a random order: a control.
      keep: whether every s is recorded, for a `replay`.
    """

    what = "the slope 'guided'"

    epsilon: Number = number(1e-2, above=0.0)
    samples: int = count(1)
    noise: str = one_of(GAUSSIAN, NOISES)
    alpha: Number = number(1.0, at_least=0.0, at_most=1.0)
    decay: str = one_of("linear", DECAYS)
    scope: str = one_of(WHOLE, SCOPES)
    magnitude: str = one_of(GAUSSIAN, MAGNITUDES)
    every: int = count(1)
    first: str = one_of(BACKWARD, FIRST)
    first_scale: Number = number(1.0, above=0.0)
    projected: bool = switch(True)
    shuffled: bool = switch(False)
    keep: bool = switch(False)

    def __post_init__(self) -> None:
        """Refuse to record what a gradient is not told by."""
        super().__post_init__()
        if self.keep and self.first == BACKWARD:
            raise RequestError(
                "slope.keep=true records scalars, and a first round by gradients has none: say "
                "slope.first='spsa'"
            )

    def init(self, params: Params, updates: int) -> Guide:
        """Return a guide that leads nowhere yet."""
        zeros = jax.tree.map(jnp.zeros_like, params)
        nothing, none = jnp.zeros(()), jnp.zeros((), jnp.int32)
        length = jnp.float32(updates * self.every)
        sums = self._sums(updates)
        return Guide(params, zeros, zeros, nothing, none, none, length, sums)

    def turn(self, state: Guide, params: Params, hint: Params | None) -> Guide:
        """Take the way of the round that ended as the guide of the next."""
        due = state.turns % self.every == 0
        fresh = jax.tree.map(jnp.subtract, params, state.begun)
        if self.shuffled:
            flat, unravel = ravel_pytree(fresh)
            key = jax.random.fold_in(jax.random.key(0), state.turns)
            fresh = unravel(jax.random.permutation(key, flat))
        lengths = _length(fresh) * _length(state.along)
        inner = sum(jax.tree.leaves(_dots(LEAF, fresh, state.along)))
        alike = jnp.where(lengths > 0, inner / jnp.maximum(lengths, _TINY), 0.0)

        def chosen(new: Any, old: Any) -> Any:
            return jax.tree.map(lambda a, b: jnp.where(due, a, b), new, old)

        return Guide(
            begun=chosen(params, state.begun),
            along=chosen(fresh, state.along),
            away=chosen(hint, state.away) if self.projected and hint is not None else state.away,
            alike=chosen(alike, state.alike),
            turns=state.turns + 1,
            k=jnp.where(due, 0, state.k),
            length=state.length,
            sums=Sums.empty(state.sums.scalars),
        )

    def report(self, state: Guide) -> Values:
        """Return `change` and `equal`, ‖Δπ‖ as `way`, and its cosine with the last as `alike`."""
        way = {"way": _length(state.along), "alike": state.alike}
        return {**state.sums.report(), **way}

    def __call__(
        self, loss: Loss, params: Params, state: Guide, key: PRNGKeyArray
    ) -> tuple[Float[Array, ""], Values, Params, Guide]:
        """Return the loss and s·z; in the first round, what that is made by."""

        def led() -> tuple[Array, Values, Params, Sums]:
            def one(key: PRNGKeyArray) -> tuple[Params, Seen]:
                z = self.direction(params, state, key)
                seen = differences(
                    loss,
                    params,
                    lambda: self.direction(params, state, key),
                    self.epsilon,
                    _length(z),
                )
                return z, seen

            value, seen, slope, sums = self._slope(key, state.sums, one)
            return value, seen, self._first_scaled(slope, state), sums

        def gradient() -> tuple[Array, Values, Params, Sums]:
            (value, seen), slope = jax.value_and_grad(loss, has_aux=True)(params)
            sums = state.sums.add(jnp.full(self.samples, _length(slope)), jnp.zeros(()))
            return value, seen, self._first_scaled(slope, state), sums

        if self.first == BACKWARD:
            # Known by the number of the round alone: members of a population agree, so a `vmap`
            # runs one of both.
            value, seen, slope, sums = jax.lax.cond(self._known(state), led, gradient)
        else:
            value, seen, slope, sums = led()
        return value, seen, slope, self._next(state, sums)

    def direction(self, params: Params, state: Guide, key: PRNGKeyArray) -> Params:
        """Draw z: noise in the first round, guided from the second on."""
        drawn = noise(key, params, self.noise)
        alpha = DECAYS[self.decay](
            jnp.asarray(self.alpha, float), state.k.astype(float), state.length
        )
        led = guided(
            drawn, state.along, state.away, alpha, scope=self.scope, magnitude=self.magnitude
        )
        if self.first == BACKWARD:
            return led
        return jax.tree.map(lambda new, old: jnp.where(self._known(state), new, old), led, drawn)

    def told_again(
        self, scalars: Float[Array, " q"], params: Params, state: Guide, key: PRNGKeyArray
    ) -> tuple[Params, Guide]:
        """Return s·z and the next state, given each s of an update."""
        told = _told_again(scalars, key, lambda key: self.direction(params, state, key))
        sums = state.sums.add(scalars, jnp.zeros(()))
        return self._first_scaled(told, state), self._next(state, sums)

    def _known(self, state: Guide) -> Bool[Array, ""]:
        return state.turns > self.every

    def _first_scaled(self, slope: Params, state: Guide) -> Params:
        scale = jnp.where(self._known(state), 1.0, jnp.asarray(self.first_scale, float))
        return jax.tree.map(lambda leaf: scale.astype(leaf.dtype) * leaf, slope)

    def _next(self, state: Guide, sums: Sums) -> Guide:
        return Guide(
            begun=state.begun,
            along=state.along,
            away=state.away,
            alike=state.alike,
            turns=state.turns,
            k=state.k + 1,
            length=state.length,
            sums=sums,
        )


class ZerothOrderState(NamedTuple):
    """State of the optax transformation `zeroth_order`."""

    made: Int[Array, ""]
    key: PRNGKeyArray
    slope: Any


def zeroth_order(
    slope: Slope, key: PRNGKeyArray, every: int = 1000
) -> optax.GradientTransformationExtraArgs:
    """Return an optax transformation that puts a slope in the place of the gradients it is given.

        optimizer = optax.chain(zeroth_order(SPSA(), key), optax.scale_by_learning_rate(1e-3))
        updates, state = optimizer.update(params, state, params, value_fn=loss)

    Args:
      slope: where directions come from, such as `SPSA()` or `Guided(first="spsa")`.
      key: of all its draws.
      every: updates in a round, after which a guided slope takes a new guide.
    """

    def init(params: Params) -> ZerothOrderState:
        return ZerothOrderState(jnp.zeros((), jnp.int32), key, slope.init(params, every))

    def update(
        updates: Params,
        state: ZerothOrderState,
        params: Params | None = None,
        *,
        value_fn: Callable[[Params], Array],
        **extra: Any,
    ) -> tuple[Params, ZerothOrderState]:
        if params is None:
            raise RequestError("zeroth_order moves parameters about: give update(…, params)")
        turned = slope.turn(state.slope, params, None)
        due = state.made % every == 0
        own = jax.tree.map(lambda new, old: jnp.where(due, new, old), turned, state.slope)
        with jax.numpy_dtype_promotion("standard"):
            _, _, direction, own = slope(
                lambda p: (jnp.asarray(value_fn(p)), {}),
                params,
                own,
                jax.random.fold_in(state.key, state.made),
            )
        return direction, ZerothOrderState(state.made + 1, state.key, own)

    return optax.GradientTransformationExtraArgs(init, update)
