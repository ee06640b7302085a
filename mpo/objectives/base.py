"""What an objective is: a pure function of one comparison and progress to a scalar loss."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, final

import jax.numpy as jnp
from jaxtyping import Array, Float
from typing_extensions import override

from mpo.comparison import Comparison
from mpo.potentials.base import Progress
from mpo.settings import Checked, switch

Loss = Float[Array, ""]
Weight = Float[Array, "B"] | None
"""Of each comparison of a minibatch; none where all count alike."""


@dataclass(frozen=True, kw_only=True)
class Objective(Checked, ABC):
    """A loss of one comparison; lower is better, and `jax.vmap` makes batches of it.

    Objectives are pytrees: numeric settings are traced, so that a population of objectives,
    or a grid of settings, is one `vmap`. Switches are static.

    An objective that compares two responses takes the best and the worst of K (the first
    and the last); `rpo_bwd` and `rpo_sqloo` use all K.

    Attributes:
      name: what `mpo.objective` knows it by.
      needs: the optional fields of a comparison it cannot do without.
      least: the fewest responses K it can work with.
      whole: whether it reads a minibatch as a whole: pairs it anew, before it is a loss of each.
      length_normalise: divide log-probabilities by the length of their response first.
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    least: ClassVar[int] = 2
    whole: ClassVar[bool] = False

    length_normalise: bool = switch(False)

    @classmethod
    @override
    def called(cls) -> str:
        return f"objective {cls.name!r}"

    @final
    def __call__(self, comparison: Comparison, progress: Progress = 0.0) -> Loss:
        """Return the loss of `comparison` at `progress` n/N ∈ [0, 1] of the training."""
        c = comparison.checked(self.needs, by=self.name, least=self.least)
        if self.length_normalise:
            c = c.per_step()
        return self.loss(c, jnp.asarray(progress, c.logp.dtype))

    def paired(self, batch: Comparison, weight: Weight = None) -> tuple[Comparison, Weight]:
        """Return the comparisons of a minibatch, of which each has its loss, and their weights.

        As they are, but for objectives of a `whole` minibatch, which make other comparisons of it;
        those of weight 0 keep out of that.
        """
        return batch, weight

    @abstractmethod
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        """Return the loss of a comparison that is checked and, if asked for, normalised."""


def margin(values: Float[Array, "k"]) -> Float[Array, ""]:
    """Return the value of the best response minus that of the worst."""
    return values[0] - values[-1]


def log_ratio(c: Comparison) -> Float[Array, "k"]:
    """Return log π(y)/π_ref(y) of every response."""
    return c.logp - given(c.ref_logp)


def per_step_loss(objective: Objective, c: Comparison) -> Loss:
    """Return -log π(y_w) of a step, whether or not `c` is of per-step log-probabilities already."""
    steps = 1 if objective.length_normalise else jnp.maximum(c.length[0], 1)
    return -c.logp[0] / steps


def given(values: Any) -> Float[Array, "k"]:
    """Return an optional field that the objective declared in `needs`."""
    assert values is not None
    return values
