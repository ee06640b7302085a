"""The results of an experiment on disk: a line for each cell, written when it is finished."""

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_transfer.experiment.settings import Settings
from mpo.errors import RequestError

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

    Raises:
      RequestError: the folder is another experiment's, or can't be written to.
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.path = folder / "results.jsonl"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _same_experiment(folder / "settings.json", settings)
        except OSError as error:
            raise RequestError(f"cannot write to {folder}: {error.strerror}") from error
        self.results = {result.cell: result for result in read(self.path)}

    def add(self, result: Result) -> None:
        """Keep a result, on disk before this returns."""
        line = json.dumps(
            {
                **dataclasses.asdict(result.cell),
                "seconds": round(result.seconds, 2),
                "metrics": result.metrics or None,
            }
        )
        cut = _cut_off(self.path)
        with self.path.open("a") as file:
            file.write("\n" + line + "\n" if cut else line + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.results[result.cell] = result


def read(path: Path) -> list[Result]:
    """Return the results in a file; a line that an interruption cut off is no result."""
    if not path.exists():
        return []
    return [found for line in path.read_text().splitlines() if (found := _parsed(line))]


def _parsed(line: str) -> Result | None:
    try:
        values: dict[str, Any] = json.loads(line)
        seconds, metrics = values.pop("seconds"), values.pop("metrics")
        return Result(Cell(**values), metrics or {}, seconds)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _cut_off(path: Path) -> bool:
    if not path.exists() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() != b"\n"


def _same_experiment(path: Path, settings: Settings) -> None:
    wanted = json.loads(json.dumps(settings.fixed))
    if not path.exists():
        path.write_text(json.dumps(wanted, indent=2) + "\n")
        return
    try:
        found = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise RequestError(f"{path} is damaged ({error.msg}): choose another folder") from error
    for name, value in wanted.items():
        if found.get(name) != value:
            raise RequestError(
                f"{path.parent} holds an experiment with {name} {found.get(name)!r}, and this is "
                f"one with {value!r}: choose another --out"
            )
