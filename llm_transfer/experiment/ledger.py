"""The results of an experiment on disk: a line for each cell, written when it is finished."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_transfer.experiment.settings import Settings
from mpo.claim import Claim
from mpo.errors import RequestError
from mpo.log import JsonLog, Line, numbers

SETTINGS, RESULTS = "settings.json", "results.jsonl"
_DIGESTS = "digests"
TUNE, TEST = "tune", "test"
BASE = "base"  # stands for an objective where the model before fine-tuning is measured


@dataclass(frozen=True)
class Cell:
    """One fine-tuning, or none for the base model."""

    stage: str
    objective: str
    seed: int
    learning_rate: float | None = None


@dataclass(frozen=True)
class Result:
    """What came of a cell; metrics are empty if the training diverged."""

    cell: Cell
    metrics: dict[str, float]
    seconds: float

    @property
    def diverged(self) -> bool:
        """Whether there is nothing to measure."""
        return not self.metrics


class Ledger:
    """The folder of an experiment: `settings.json` and `results.jsonl`.

    Args:
      folder: of the experiment, which need not be there.
      settings: of the experiment, which those in the folder must equal.
      digests: by the name of something outside of the folder, a word for its content; results
        stand for what had this content.

    Raises:
      RequestError: the folder is another experiment's, or can't be written to.
    """

    def __init__(
        self, folder: Path, settings: Settings, digests: Mapping[str, str] | None = None
    ) -> None:
        self.path = folder / RESULTS
        check(folder, settings, digests or {})
        _claim(folder).write(_request(settings, digests or {}))
        self.results = {result.cell: result for result in read(self.path)}

    def add(self, result: Result) -> None:
        """Keep a result, on disk before this returns."""
        JsonLog(self.path).add(
            {
                **dataclasses.asdict(result.cell),
                "seconds": round(result.seconds, 2),
                "metrics": result.metrics or None,
            }
        )
        self.results[result.cell] = result


def read(path: Path) -> list[Result]:
    """Return the results in a file; a line that an interruption cut off is no result."""
    return [found for line in JsonLog(path).lines() if (found := _result(line))]


def _result(line: Line) -> Result | None:
    try:
        seconds, metrics = line.pop("seconds"), line.pop("metrics")
        return Result(Cell(**line), numbers(metrics or {}), seconds)
    except (TypeError, KeyError, AttributeError):
        return None


def check(folder: Path, settings: Settings, digests: Mapping[str, str]) -> None:
    """Refuse a folder of another experiment; nothing is written.

    Folders from before there were digests take on those of now.

    Raises:
      RequestError: settings differ, or something has changed that results were made with.
    """
    held = _claim(folder).read() or {}
    known = held.get(_DIGESTS, {})
    for name, digest in digests.items():
        if known.get(name, digest) != digest:
            raise RequestError(
                f"{folder} holds results of {name} as it was before it changed: choose another "
                "--out"
            )
    if held:
        _claim(folder).compare(_request(settings, digests), held)


def _claim(folder: Path) -> Claim:
    return Claim(folder, SETTINGS, "experiment", growing=(_DIGESTS,))


def _request(settings: Settings, digests: Mapping[str, str]) -> dict[str, Any]:
    return {**settings.fixed, _DIGESTS: dict(digests)}
