"""The results of an experiment on disk: a line for each cell, written when it is finished."""

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_transfer.experiment.settings import Settings
from mpo import treefile
from mpo.errors import RequestError

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
      folder: where it is, or will be.
      settings: of the experiment.
      digests: by the name of something outside of the folder, a word for its content; results
        stand for what had this content.

    Raises:
      RequestError: the folder is another experiment's, or can't be written to.
    """

    def __init__(
        self, folder: Path, settings: Settings, digests: Mapping[str, str] | None = None
    ) -> None:
        self.path = folder / RESULTS
        about, path = agreed(folder, settings, digests or {}), folder / SETTINGS
        text = json.dumps(about, indent=2) + "\n"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not path.exists() or path.read_text() != text:
                treefile.replace(path, text.encode())
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


def agreed(folder: Path, settings: Settings, digests: Mapping[str, str]) -> dict[str, Any]:
    """Return what `settings.json` is to hold, or refuse a folder of another experiment.

    Folders from before there were digests take on those of now. Nothing is written.

    Raises:
      RequestError: settings differ, or something has changed that results were made with.
    """
    wanted = json.loads(json.dumps(settings.fixed))
    path = folder / SETTINGS
    if not path.exists():
        return {**wanted, _DIGESTS: dict(digests)}
    try:
        found = json.loads(path.read_text())
    except OSError as error:
        raise RequestError(f"cannot read {path}: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise RequestError(f"{path} is damaged ({error.msg}): choose another folder") from error
    for name, value in wanted.items():
        if found.get(name) != value:
            raise RequestError(
                f"{folder} holds an experiment with {name} {found.get(name)!r}, and this is "
                f"one with {value!r}: choose another --out"
            )
    known = found.get(_DIGESTS, {})
    for name, digest in digests.items():
        if known.get(name, digest) != digest:
            raise RequestError(
                f"{folder} holds results of {name} as it was before it changed: choose another "
                "--out"
            )
    return {**wanted, _DIGESTS: {**known, **digests}}
