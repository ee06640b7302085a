"""How large the models of the small language are, and how they are trained."""

from dataclasses import dataclass
from typing import Final

from envs.language.corpus import Care


@dataclass(frozen=True)
class Recipe:
    """How a model is made; a different recipe is a different model in the cache.

    Attributes:
      width: of the hidden states.
      layers: number of transformer blocks.
      heads: of attention in each block.
      steps: of the optimizer.
      batch: texts in a step.
      care: the least and the greatest care of the authors it reads.
      learning_rate: at its greatest.
      seed: of weights and texts.
    """

    width: int
    layers: int
    steps: int
    care: Care
    heads: int = 4
    batch: int = 32
    learning_rate: float = 3e-3
    seed: int = 0


SHIPPED: Final = "shipped"
"""The scale of models that are not trained here: writers of the task `language`."""

# A recipe of each model, by scale. `small` takes about two minutes on one core, `test` seconds.
SCALES: Final[dict[str, dict[str, Recipe]]] = {
    "test": {
        "base": Recipe(width=32, layers=1, steps=60, care=(0.6, 1.0), learning_rate=1e-2),
        "weak": Recipe(width=16, layers=1, steps=30, care=(0.4, 0.9), learning_rate=1e-2, seed=1),
    },
    "small": {
        "base": Recipe(width=96, layers=3, steps=1100, care=(0.6, 1.0)),
        "weak": Recipe(width=48, layers=2, steps=400, care=(0.5, 0.95), learning_rate=5e-3, seed=1),
    },
    "million": {
        "base": Recipe(width=160, layers=6, steps=2500, care=(0.6, 1.0), learning_rate=2e-3),
        "weak": Recipe(width=64, layers=2, steps=500, care=(0.5, 0.95), learning_rate=5e-3, seed=1),
    },
}  # fmt: skip
