"""Responses as arrays: a source of comparisons, whole or cut into segments."""

import dataclasses
from dataclasses import dataclass, field
from typing import TypeVar

import chex
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Num, PRNGKeyArray

from mpo.errors import RequestError
from mpo.pytree import pytree
from mpo.settings import Kept
from mpo.train.source import Batch

R = TypeVar("R", bound="Responses")


@pytree
@dataclass(frozen=True)
class Responses:
    """Arrays of comparisons, held once for any population, and how they are cut.

    Its items are numbered 0 … size − 1, so that an epoch is a permutation of them.
    An item is a comparison, or a pair of segments of one (K of them, in general).

    Attributes:
      inputs: of all N comparisons: observations [N, K, T, …], or contexts [N, K].
      outputs: actions [N, K, T, …], or tokens [N, K, T].
      lengths: steps of each response that count, [N, K].
      reward: of each whole response, [N, K]; may be `None`.
      ref_logp: log-probability of each whole response under a reference, [N, K]; may be `None`.
      steps: L, steps in a segment; T for whole responses.
    """

    inputs: Num[Kept, "N *seen"]
    outputs: Num[Kept, "N K T *done"]
    lengths: Int[Kept, "N K"]
    reward: Float[Kept, "N K"] | None
    ref_logp: Float[Kept, "N K"] | None
    steps: int = field(metadata={"static": True})

    @property
    def segments(self) -> int:
        """Items that each comparison is cut into, ⌈T / L⌉."""
        return -(-int(self.outputs.shape[2]) // self.steps)

    @property
    def size(self) -> int:
        """The number of items."""
        return int(self.outputs.shape[0]) * self.segments

    def cut(self: R, steps: int | None) -> R:
        """Return a view of the same arrays, `steps` at a time; `None` for whole responses."""
        whole = int(self.outputs.shape[2])
        if steps is None or steps == whole:
            return dataclasses.replace(self, steps=whole)
        if not 1 <= steps <= whole:
            raise RequestError(f"segments of {steps} steps: responses have 1 to {whole}")
        if not jnp.issubdtype(self.inputs.dtype, jnp.floating):
            raise RequestError(
                "token sequences cannot be cut into segments: each token depends on all before it"
            )
        return dataclasses.replace(self, steps=steps)

    def batch(self, items: Int[Array, " B"]) -> Batch:
        """Gather some items; only what they hold is copied.

        Item i is segment j = i mod ⌈T/L⌉ of comparison ⌊i / ⌈T/L⌉⌋. A response of n
        steps has ⌈n/L⌉ segments, the last moved back to be full. If it ended early,
        these stand for all ⌈T/L⌉ in proportion: winner and loser are seen at the same
        relative place, no segment is empty, and an epoch covers every step.
        """
        chex.assert_rank(items, 1)
        comparisons, segments = self.rows(items), items % self.segments
        lengths = self.lengths[comparisons]
        own = (lengths + (self.steps - 1)) // self.steps
        turn = segments[:, None] * own // self.segments
        offsets = jnp.clip(turn * self.steps, 0, jnp.maximum(lengths - self.steps, 0))
        left = lengths - offsets
        mask = jnp.arange(self.steps, dtype=left.dtype)[None, None] < left[..., None]
        per_step = jnp.issubdtype(self.inputs.dtype, jnp.floating)
        return Batch(
            inputs=self._windows(self.inputs, comparisons, offsets)
            if per_step
            else self.inputs[comparisons],
            outputs=self._windows(self.outputs, comparisons, offsets),
            mask=mask,
            reward=None if self.reward is None else self.reward[comparisons],
            ref_logp=None
            if self.ref_logp is None or self.segments > 1
            else self.ref_logp[comparisons],
        )

    def rows(self, items: Int[Array, " B"]) -> Int[Array, " B"]:
        """Return the numbers of the comparisons that items are of."""
        return items // self.segments

    def sample(self, key: PRNGKeyArray, size: int) -> Batch:
        """Draw `size` items, uniformly and with replacement."""
        return self.batch(jax.random.randint(key, (size,), 0, self.size, jnp.int32))

    def _windows(
        self, values: Array, comparisons: Int[Array, " B"], offsets: Int[Array, "B K"]
    ) -> Array:
        if self.segments == 1:
            return values[comparisons]

        def window(row: Array, place: Array, offset: Array) -> Array:
            zero = jnp.zeros((), offset.dtype)
            begin = (row, place, offset, *[zero] * (values.ndim - 3))
            cut = (1, 1, self.steps, *values.shape[3:])
            return jax.lax.dynamic_slice(values, begin, cut)[0, 0]

        places = jnp.arange(values.shape[1], dtype=offsets.dtype)
        rows = comparisons.astype(offsets.dtype)
        return jax.vmap(jax.vmap(window, (None, 0, 0)), (0, None, 0))(rows, places, offsets)
