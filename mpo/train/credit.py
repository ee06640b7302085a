"""Credit: from the rewards of responses to the number that an objective sees of each.

Rewards come in groups: row g has those of the C responses to one start. A credit is made within a
scope, the whole table or each group, and has a shape. Pure functions of arrays; equal rewards give
equal credit, and none where credit is a deviation.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Rewards = Float[Array, "groups responses"]

_LEAST_DEVIATION = 1e-6


def raw(rewards: Rewards) -> Rewards:
    """Return the rewards as they are."""
    return rewards


def batch(rewards: Rewards) -> Rewards:
    """Return (r - mean)/deviation over all responses: the standardised reward of Tajwar et al."""
    return _standard(rewards, axis=None)


def prompt(rewards: Rewards) -> Rewards:
    """Return (r - mean)/deviation within each group, as GRPO does."""
    return _standard(rewards, axis=1)


def leave_one_out(rewards: Rewards) -> Rewards:
    """Return r less the mean of the others of its group, as RLOO does; 0 where there are none."""
    count = rewards.shape[1]
    if count == 1:
        return jnp.zeros_like(rewards)
    others = (jnp.sum(rewards, axis=1, keepdims=True) - rewards) / (count - 1)
    return rewards - others


SCOPES: Mapping[str, Callable[[Rewards], Rewards]] = MappingProxyType(
    {"raw": raw, "batch": batch, "prompt": prompt, "leave_one_out": leave_one_out}
)
"""What a reward is measured against: nothing, all responses, or those to the same start."""

LINEAR, EXP, TOP = SHAPES = ("linear", "exp", "top")
"""The credit itself; weights ∝ e^(credit/β) with mean 1; or equal weights of the best share."""


def credited(
    rewards: Rewards, scope: str, shape: str, temperature: Float[Array, ""] | float
) -> Rewards:
    """Return the credit of every response.

    Args:
      rewards: of the C responses to each start.
      scope: a name of `SCOPES`. Weights of the shapes "exp" and "top" are shared out in it: to the
        responses of a group where that is its scope, or to all.
      shape: of `SHAPES`.
      temperature: β of the shape "exp"; of "top" the share that is kept.
    """
    own = SCOPES[scope](rewards)
    if shape == LINEAR:
        return own
    axis = 1 if scope in ("prompt", "leave_one_out") else None
    if shape == EXP:
        size = own.size if axis is None else own.shape[1]
        return jax.nn.softmax(own / temperature, axis=axis) * size
    least = jnp.quantile(own, 1 - jnp.asarray(temperature, float), axis=axis, keepdims=True)
    kept = (own >= least).astype(own.dtype)
    return kept / jnp.mean(kept, axis=axis, keepdims=True)


def no_signal(rewards: Rewards) -> Float[Array, ""]:
    """Return the share of groups whose responses all have one reward."""
    return jnp.mean(jnp.max(rewards, axis=1) <= jnp.min(rewards, axis=1), dtype=rewards.dtype)


def _standard(rewards: Rewards, axis: int | None) -> Rewards:
    """Return deviations in units of their sample deviation (n - 1); zeros where that is none."""
    size = rewards.size if axis is None else rewards.shape[axis]
    if size == 1:
        return jnp.zeros_like(rewards)
    gaps = rewards - jnp.mean(rewards, axis=axis, keepdims=True)
    deviation = jnp.sqrt(jnp.sum(jnp.square(gaps), axis=axis, keepdims=True) / (size - 1))
    scale = jnp.maximum(jnp.max(jnp.abs(rewards), axis=axis, keepdims=True), _LEAST_DEVIATION)
    alike = deviation <= _LEAST_DEVIATION * scale
    return jnp.where(alike, 0.0, gaps / jnp.where(alike, 1.0, deviation)).astype(rewards.dtype)
