"""Running mean and variance, for the normalisation of observations and rewards."""

from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float

from mpo.pytree import pytree


@pytree
@dataclass(frozen=True)
class Moments:
    """Mean and variance of everything seen, per entry of an item; a pytree."""

    count: Array
    mean: Array
    variance: Array

    @property
    def std(self) -> Array:
        """Standard deviation, kept from zero: what never varied must not explode when it does."""
        return jnp.maximum(jnp.sqrt(self.variance), 1e-3)


def nothing(shape: tuple[int, ...]) -> Moments:
    """Return the moments of items of `shape` before any was seen: mean 0, variance 1."""
    return Moments(count=jnp.zeros(()), mean=jnp.zeros(shape), variance=jnp.ones(shape))


def update(moments: Moments, batch: Float[Array, "items *shape"]) -> Moments:
    """Take a batch in (Chan, Golub, LeVeque 1979: moments of two sets joined)."""
    size = batch.shape[0]
    total = moments.count + size
    gap = jnp.mean(batch, axis=0) - moments.mean
    share = size / total
    variance = (1 - share) * moments.variance + share * jnp.var(batch, axis=0)
    return Moments(
        count=total,
        mean=moments.mean + share * gap,
        variance=variance + share * (1 - share) * jnp.square(gap),
    )
