"""Candidates of a search, scored by the language models that are fine-tuned under them.

What `discovery run` selects by with `evaluation.selection = "language_model"`.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from llm_transfer.experiment import environment
from llm_transfer.experiment.settings import TINY, Settings
from llm_transfer.threads import threads
from mpo.errors import unknown
from mpo.log import Say
from mpo.objectives import Objective
from mpo.settings import build

if TYPE_CHECKING:
    from llm_transfer.experiment.ledger import Result

PLAIN: Final = Settings(shuffled=0.5, tune=(1e-4, 3e-4, 1e-3))
"""What is fine-tuned where nothing else is said: the small language, half of it shuffled."""

FILLED_IN: Final = ("objectives", "seeds", "tune_seeds", "learning_rate")
"""Settings of an experiment that a selection fills in."""


@dataclasses.dataclass(frozen=True)
class LanguageModel:
    """Scores objectives on validation rows, each at the learning rate that is best for it there.

    Attributes:
      settings: of the fine-tunings.
    """

    settings: Settings

    def __call__(
        self,
        candidates: Mapping[str, Objective],
        seeds: int,
        folder: Path,
        told: Say,
    ) -> dict[str, np.ndarray]:
        """Return the score of each candidate with every seed; results are kept in `folder`."""
        environment.prepare(self.settings.model, self.settings.data)
        from llm_transfer.experiment import study
        from llm_transfer.snippets.torch_loss import torch_loss

        settings = dataclasses.replace(
            self.settings, objectives=tuple(candidates), tune_seeds=seeds
        )
        losses = {name: torch_loss(objective) for name, objective in candidates.items()}

        def report(done: int, total: int, result: "Result") -> None:
            told(f"fine-tuning {result.cell.objective}, {done} of {total}")

        with threads(1 if settings.model == TINY else 0):
            ledger = study.tune(settings, folder, losses, report)
        by_rate = {name: study.by_rate(settings, ledger, name) for name in candidates}
        return {name: np.array(max(rates.values(), key=_worth)) for name, rates in by_rate.items()}


def language_model(**settings: Any) -> LanguageModel:
    """Return the measure with these settings of an experiment.

    Raises:
      RequestError: a setting is unknown or can't be, or the libraries are not installed.
    """
    known = [f.name for f in dataclasses.fields(Settings) if f.name not in FILLED_IN]
    for name in settings:
        if name not in known:
            raise unknown("setting of the selection", name, known)
    request = build(Settings, "the selection", vars(PLAIN) | settings)
    environment.check()
    return LanguageModel(request)


def _worth(scores: list[float]) -> float:
    return float(np.mean(scores))
