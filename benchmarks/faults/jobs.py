"""Small jobs that keep a folder: what is asked for, and what a folder ends with."""

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measuring import child
from discovery import algorithms, config
from discovery.runs import discover

TINY: dict[str, Any] = {
    "about": "a discovery that faults are done to",
    "task": {"name": "reach"},
    "data": {"kind": "shuffled", "rows": 48},
    "training": {"hyper": {"updates": 20, "batch": 8, "learning_rate": 0.03}},
    "search": {"population": 6, "generations": 4, "episodes": 4},
    "evaluation": {"against": ["sft", "dpo"], "seeds": 3, "episodes": 4, "selection_seeds": 2,
                   "tune": False},
}  # fmt: skip
UPDATES = "training.hyper.updates"


def tuned() -> config.Config:
    """Return what describes the same search, what it is compared with tuned first."""
    return config.from_json({**TINY, "evaluation": {**TINY["evaluation"], "tune": True}})


class Killed(BaseException):
    """The end of a process, which nothing in it catches."""


@dataclass(frozen=True)
class Job:
    """Work that goes on in a folder where it was cut off.

    Attributes:
      name: of what is done.
      command: the words after `discovery`, for a folder.
      here: does the same in this process.
      cut: a function, by its path, after the second call of which a process here is killed.
      ends_with: returns what must be the same, to the bit, whatever happened on the way.
    """

    name: str
    command: Callable[[Path], list[str]]
    here: Callable[[Path], object]
    cut: str
    ends_with: Callable[[Path], Any]

    def process(self, folder: Path, program: str = "") -> "subprocess.Popen[str]":
        """Start it in a process of its own, after the lines of a program."""
        start = f"{program}\nimport sys; from discovery.cli import main; sys.exit(main())"
        return subprocess.Popen(
            [sys.executable, "-c", start, *self.command(folder)],
            env=child(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def cut_off(self, folder: Path) -> None:
        """Do it here until it is killed in the middle."""
        with after_call(self.cut, 2, _killed):
            try:
                self.here(folder)
            except Killed:
                return
        raise AssertionError(f"{self.name} was not killed")


def _killed() -> None:
    raise Killed


@contextmanager
def after_call(path: str, number: int, happens: Callable[[], None]) -> Iterator[None]:
    """Let something happen after the n-th call of a function or a method, given by its path."""
    owner, _, name = path.rpartition(".")
    module, _, kind = owner.rpartition(".")
    is_class = kind[0].isupper()
    place: Any = importlib.import_module(module if is_class else owner)
    place = getattr(place, kind) if is_class else place
    original, calls = getattr(place, name), []

    def replaced(*arguments: Any, **settings: Any) -> Any:
        found = original(*arguments, **settings)
        calls.append(1)
        if len(calls) == number:
            happens()
        return found

    setattr(place, name, replaced)
    try:
        yield
    finally:
        setattr(place, name, original)


def search(folder: Path) -> Job:
    """Return a search, its selection, comparison and report; `folder` is for what describes it."""
    described = folder / "tiny.json"
    described.write_text(json.dumps(TINY))
    return Job(
        "a search",
        lambda out: ["run", "--config", str(described), "--out", str(out)],
        lambda out: discover(config.from_json(TINY), out, quiet=True),
        "discovery.runs.checkpoints.Checkpoints.save",
        _of_search,
    )


def training() -> Job:
    """Return the training of one agent."""
    changes = {UPDATES: 400, "data.rows": 48}
    words = [word for name, value in changes.items() for word in ("--set", f"{name}={value}")]

    def here(out: Path) -> object:
        described, objective = algorithms.described("dpo", "reach", changes)
        return algorithms.carry_out(described, objective, 0, out)

    return Job(
        "a training",
        lambda out: ["train", "--task", "reach", "--algorithm", "dpo", *words, "--out", str(out)],
        here,
        "discovery.algorithms.training._write",
        _of_training,
    )


def _of_search(folder: Path) -> Any:
    assert (folder / "report.md").exists()
    results = json.loads((folder / "results.json").read_text())
    return results, (folder / "objective.npz").read_bytes()


def _of_training(folder: Path) -> Any:
    record = json.loads((folder / "record.json").read_text())
    for name in ("seconds", "seconds_in_all"):
        del record[name]
    return record, (folder / "agent.npz").read_bytes()
