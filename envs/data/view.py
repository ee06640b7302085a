"""A dataset on the device, and the minibatches a training loop draws from it inside `jit`."""

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from mpo.errors import RequestError
from mpo.pytree import pytree
from mpo.settings import Leaf

if TYPE_CHECKING:
    from envs.data.dataset import Dataset


@pytree
@dataclass(frozen=True)
class Batch:
    """B comparisons, whole or cut to L steps, best first; `jax.vmap` goes over them.

    Attributes:
      inputs: observations [B, K, L, O], or contexts.
      outputs: actions [B, K, L, A], or tokens [B, K, L].
      mask: which steps count, [B, K, L]; the others are padding.
      reward: true return of each whole response, [B, K].
      ref_logp: its log-probability under the reference, [B, K]; `None` in a view of
        segments, since it is known only for whole responses.
    """

    inputs: Leaf
    outputs: Leaf
    mask: Leaf
    reward: Leaf
    ref_logp: Leaf

    @property
    def length(self) -> Array:
        """Steps that count in each response, [B, K]."""
        return jnp.sum(self.mask, axis=-1, dtype=jnp.int32)


@pytree
@dataclass(frozen=True)
class View:
    """The arrays of a dataset, held once for any population, and how they are cut.

    A pytree: pass it to the training function as an argument that no `vmap` maps.
    Its items are numbered 0 … size − 1, so that an epoch is a permutation of them.
    An item is a comparison, or a pair of segments of one (K of them, in general).

    Attributes:
      steps: L, steps in a segment; T for whole responses.
    """

    inputs: Leaf
    outputs: Leaf
    lengths: Leaf
    reward: Leaf
    ref_logp: Leaf
    steps: int = field(metadata={"static": True})

    @property
    def segments(self) -> int:
        """Items that each comparison is cut into, ⌈T / L⌉."""
        return -(-int(self.outputs.shape[2]) // self.steps)

    @property
    def size(self) -> int:
        """The number of items."""
        return int(self.outputs.shape[0]) * self.segments

    def cut(self, steps: int | None) -> "View":
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
        comparisons, segments = items // self.segments, items % self.segments
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


def view(dataset: "Dataset", steps: int | None = None) -> View:
    """Bring a dataset onto the device: whole responses, or segments of `steps` steps."""
    whole = View(
        inputs=_held(dataset.inputs),
        outputs=_held(dataset.outputs),
        lengths=_held(dataset.length.astype(np.int32)),
        reward=None if dataset.reward is None else _held(dataset.reward),
        ref_logp=None if dataset.ref_logp is None else _held(dataset.ref_logp),
        steps=dataset.steps,
    )
    return whole.cut(steps)


def _held(values: Any) -> Array:
    return jax.device_put(np.asarray(values))
