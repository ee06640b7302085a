"""Maximum likelihood of the chosen response."""

from dataclasses import dataclass
from typing import ClassVar, final

from jaxtyping import Array, Float

from mpo.comparison import Comparison
from mpo.objectives.base import Loss, Objective
from mpo.pytree import pytree


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class SFT(Objective):
    """-log π(y_w): supervised fine-tuning on the best response."""

    name: ClassVar = "sft"

    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        """Return -log π(y_w)."""
        return -c.logp[0]
