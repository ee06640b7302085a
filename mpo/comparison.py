"""The data every objective sees: one start, and K responses to it, best first."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Num

from mpo.errors import RequestError
from mpo.pytree import pytree

if TYPE_CHECKING:
    PerResponse = Array
else:
    PerResponse = Num[Array | np.ndarray, "*batch k"]


@pytree
@dataclass(frozen=True)
class Comparison:
    """K ≥ 2 responses to one start, **best first** as the judge ranked them.

    A pytree: a batch of comparisons is a `Comparison` whose arrays have a leading
    axis, and an objective is applied to it by `jax.vmap`.

    Attributes:
      logp: summed log-probability of each response under the policy, shape [K].
      length: steps or tokens in each response, shape [K], integer or float.
      ref_logp: summed log-probability under the reference policy, shape [K].
      reward: explicit reward of each response, shape [K].
      sampled_logp: summed log-probability under the policy that wrote it, when it did, shape [K].
      credit: what each response is to be credited with, made of rewards, shape [K].
    """

    logp: PerResponse
    length: PerResponse
    ref_logp: PerResponse | None = None
    reward: PerResponse | None = None
    sampled_logp: PerResponse | None = None
    credit: PerResponse | None = None

    def __post_init__(self) -> None:
        """Refuse fields that do not hold one number per response."""
        shape = jnp.shape(self.logp)
        for name in ("length", *_MEANING):
            value = getattr(self, name)
            if value is not None and jnp.shape(value) != shape:
                raise RequestError(
                    f"{name!r} has shape {list(jnp.shape(value))} and logp has {list(shape)}: "
                    "every field of a comparison holds one number per response"
                )

    def checked(self, needed: tuple[str, ...], by: str, least: int = 2) -> "Comparison":
        """Return this comparison in one dtype, or say what objective `by` cannot work with.

        The dtype is the widest of its floating fields, and single precision at least: what
        a narrow `logp` is compared with keeps its digits.

        Raises:
          RequestError: a needed field is missing, or the shape is not [K] with K ≥ `least`.
        """
        shape = jnp.shape(self.logp)
        if len(shape) != 1 or shape[0] < least:
            raise RequestError(
                f"objective {by!r} takes one comparison with logp of shape [K], K ≥ {least}, and "
                f"got {list(shape)}: apply it to a batch with jax.vmap"
            )
        for name in needed:
            if getattr(self, name) is None:
                raise RequestError(
                    f"objective {by!r} needs {name!r} ({_MEANING[name]}), and the comparison "
                    f"has none: pass Comparison(..., {name}=...)"
                )
        dtype = jnp.result_type(self.logp)
        if not jnp.issubdtype(dtype, jnp.floating):
            raise RequestError(f"logp must be of a floating dtype, and is {dtype}")
        values = jax.tree.map(jnp.asarray, self)
        dtypes = (value.dtype for value in jax.tree.leaves(values))
        floats = [one for one in dtypes if jnp.issubdtype(one, jnp.floating)]
        with jax.numpy_dtype_promotion("standard"):
            widest = jnp.result_type(jnp.float32, *floats)
        return jax.tree.map(lambda value: value.astype(widest), values)

    def per_step(self) -> "Comparison":
        """Return the comparison with log-probabilities divided by length (0 for no steps)."""
        steps = jnp.maximum(self.length, 1)

        def own(summed: PerResponse | None) -> PerResponse | None:
            return None if summed is None else summed / steps

        return replace(
            self,
            logp=self.logp / steps,
            ref_logp=own(self.ref_logp),
            sampled_logp=own(self.sampled_logp),
        )


_MEANING = {
    "ref_logp": "summed log-probability of each response under the reference policy",
    "reward": "explicit reward of each response",
    "sampled_logp": "summed log-probability of each response under the policy that wrote it",
    "credit": "what each response is credited with",
}
