"""A source that knows the log-probabilities of its items under a reference policy."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from mpo.pytree import pytree
from mpo.train.logprob import log_probs
from mpo.train.source import Batch, Policy, Source


@pytree
@dataclass(frozen=True)
class Referenced:
    """`source` with log π_ref of every item, whole response or segment, in a table.

    Attributes:
      source: where the rest of an item comes from.
      table: summed log-probability of each response of an item, shape [size, K].
    """

    source: Any
    table: Float[Array, "size k"]

    @classmethod
    def of(cls, source: Source, policy: Policy, params: Any, chunk: int) -> "Referenced":
        """Return a source with the table of a reference policy; see `referenced`."""
        return cls(source, tabulated(source, partial(log_probs, policy, params), chunk))

    @property
    def size(self) -> int:
        """The number of items."""
        return int(self.source.size)

    def batch(self, items: Int[Array, " B"]) -> Batch:
        """Gather some items, with `ref_logp`."""
        return dataclasses.replace(self.source.batch(items), ref_logp=self.table[items])


def tabulated(
    source: Source, of: Callable[[Batch], Float[Array, "B K"]], chunk: int
) -> Float[Array, "size K"]:
    """Return something of every response of every item, of `chunk` items at a time; a constant."""
    chunks = -(-source.size // chunk)
    items = jnp.minimum(jnp.arange(chunks * chunk, dtype=jnp.int32), source.size - 1)
    table = jax.lax.map(lambda rows: of(source.batch(rows)), items.reshape(chunks, chunk))
    return jax.lax.stop_gradient(table.reshape(chunks * chunk, -1)[: source.size])


def referenced(source: Source, policy: Policy, params: Any, *, chunk: int = 64) -> Referenced:
    """Compute log π_ref of every item once, for any number of agents and epochs.

    Args:
      source: the comparisons.
      policy: architecture of the reference policy.
      params: the parameters of the reference policy.
      chunk: items in memory at a time.
    """
    return Referenced(source, _table(source, policy, params, chunk))


# The source is no output of this: a compiled function would return a copy of all its arrays.
@partial(jax.jit, static_argnames=("policy", "chunk"))
def _table(source: Source, policy: Policy, params: Any, chunk: int) -> Float[Array, "N K"]:
    return Referenced.of(source, policy, params, chunk).table
