"""What the inner loop asks of its data and of its policy; `envs.data.View` is such a source."""

from dataclasses import Field
from typing import Any, ClassVar, Protocol, runtime_checkable

from jaxtyping import Array, Int, PRNGKeyArray


@runtime_checkable
class Batch(Protocol):
    """B comparisons of K responses of L steps each, best first; a dataclass, and a pytree.

    `inputs` are observations [B, K, L, …], floats, or contexts [B, K, …], integers;
    `outputs` are actions [B, K, L, …] or tokens [B, K, L]; `mask` says which steps
    count, [B, K, L]; `length` says how many, [B, K]; `reward` and `ref_logp`, [B, K], may be
    `None`.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def inputs(self) -> Array:
        """What the policy saw."""
        ...

    @property
    def outputs(self) -> Array:
        """What it did."""
        ...

    @property
    def mask(self) -> Array:
        """Which steps belong to the responses."""
        ...

    @property
    def length(self) -> Array:
        """How many of the steps count."""
        ...

    @property
    def reward(self) -> Array | None:
        """The explicit reward of each response."""
        ...

    @property
    def ref_logp(self) -> Array | None:
        """The summed log-probability of each response under the reference policy."""
        ...


@runtime_checkable
class Source(Protocol):
    """Comparisons (whole, or cut into segments) by number, gathered inside `jit`; a pytree."""

    @property
    def size(self) -> int:
        """The number of items, a static integer."""
        ...

    def batch(self, items: Int[Array, " B"]) -> Batch:
        """Return the items with these numbers in [0, size)."""
        ...


@runtime_checkable
class Policy(Protocol):
    """A policy architecture (see `mpo.policies`); hashable, as it is static under `jit`."""

    def init(self, key: PRNGKeyArray) -> Any:
        """Draw the parameters of a new agent."""
        ...

    def log_prob(self, params: Any, inputs: Array, outputs: Array) -> Array:
        """Return the log-probability of each step of one response, shape [L]."""
        ...
