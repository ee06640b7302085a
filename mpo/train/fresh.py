"""Agents to start from: fresh weights behind a normaliser that knows the data."""

from dataclasses import dataclass
from typing import Any, Final, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from mpo.pytree import pytree
from mpo.train.logprob import where_it_counts
from mpo.train.source import Policy, Source

_CHUNK: Final = 64
_LEAST_STD: Final = 1e-3


@pytree
@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation of each entry of an observation; a pytree."""

    mean: Float[Array, "observations"]
    std: Float[Array, "observations"]


@runtime_checkable
class Normalising(Protocol):
    """A policy whose parameters hold a normaliser of what it sees."""

    def normalised(self, params: Any, mean: Array, std: Array) -> Any:
        """Return the parameters with this normaliser."""
        ...


def fresh(policy: Policy, key: PRNGKeyArray, moments: Moments | None = None) -> Any:
    """Return a new agent's parameters; pure, so agents are a `vmap` over keys.

    The inner loop trains no normaliser, and without one observations of very different
    scales leave most of a fresh network unused.

    Args:
      policy: the architecture. One without a normaliser ignores the moments.
      key: what the weights are drawn from.
      moments: of the data (see `moments`), the same for all agents that see these data.
    """
    params = policy.init(key)
    if moments is None or not isinstance(policy, Normalising):
        return params
    return policy.normalised(params, moments.mean, moments.std)


def moments(source: Source) -> Moments | None:
    """Return the moments of the observations of a source, or `None` if it holds tokens.

    Over all steps that count, as often as an epoch sees them. One pass over the data,
    compiled, of which a few items at a time are copied. Standard deviations are kept from
    zero: what hardly varied in the data must not drown the rest when it does later.
    """
    inputs = jax.eval_shape(source.batch, jnp.zeros(1, jnp.int32)).inputs
    return _moments(source) if jnp.issubdtype(inputs.dtype, jnp.floating) else None


@jax.jit
def _moments(source: Source) -> Moments:
    chunks = -(-source.size // _CHUNK)

    def of_chunk(items: Int[Array, " B"]) -> tuple[Array, Array, Array]:
        batch = source.batch(jnp.minimum(items, source.size - 1))
        once = jnp.expand_dims(items < source.size, (1, 2))
        return _sums(batch.inputs, batch.mask & once)

    items = jnp.arange(chunks * _CHUNK, dtype=jnp.int32).reshape(chunks, _CHUNK)
    counts, means, squares = jax.lax.map(of_chunk, items)
    total = jnp.sum(counts)
    mean = jnp.sum(counts[:, None] * means, axis=0) / total
    # The squares around the mean of each chunk, and those of these means around their own.
    between = jnp.sum(counts[:, None] * jnp.square(means - mean[None]), axis=0)
    std = jnp.sqrt((jnp.sum(squares, axis=0) + between) / total)
    return Moments(mean, jnp.maximum(std, _LEAST_STD))


def _sums(
    values: Float[Array, "B K L O"], mask: Array
) -> tuple[Float[Array, ""], Float[Array, " O"], Float[Array, " O"]]:
    """Return how many values count, their mean, and the sum of their squares around it."""
    axes = (0, 1, 2)
    count = jnp.sum(mask, dtype=values.dtype)
    mean = jnp.sum(where_it_counts(mask, values), axes) / jnp.maximum(count, 1.0)
    gaps = values - jnp.expand_dims(mean, axes)
    return count, mean, jnp.sum(jnp.square(where_it_counts(mask, gaps)), axes)
