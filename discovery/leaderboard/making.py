"""The board, cell after cell: each is kept as it is done, and the same command goes on."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discovery.config.sections import MEAN, SAMPLED
from discovery.host.stopping import Interrupted, asked_to_stop
from discovery.leaderboard.board import Board, Fault, Ground, Loss
from discovery.leaderboard.measuring import Column, Values, asked, cell
from mpo import treefile
from mpo.claim import locked
from mpo.errors import RequestError
from mpo.log import Say

FIRST = "sft"
"""The loss that is measured first in a column: others begin from it, at its rate."""


@dataclass(frozen=True)
class Results:
    """What is measured, in a folder: a file for each loss on each task, and one for its columns.

    Attributes:
      folder: of the board.
    """

    folder: Path

    def cell(self, ground: Ground, loss: Loss, fault: Fault) -> Values | None:
        """Return a cell, if it was measured as the board asks."""
        held = self._read(ground, loss.name).get(fault.name)
        found: Values | None = (
            held if held and held["asked"] == asked(ground, loss, fault) else None
        )
        return found

    def column(self, ground: Ground, fault: Fault) -> Values | None:
        """Return what the data of a column are and what their authors earn, if that is known."""
        found: Values | None = self._read(ground, "columns").get(fault.name)
        return found

    def keep(self, ground: Ground, name: str, fault: Fault, values: Values) -> None:
        """Write a cell, or what is known of a column, beside the others of its file."""
        path = self._path(ground, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = self._read(ground, name) | {fault.name: values}
        lines = [f"{json.dumps(name)}: {json.dumps(cell)}" for name, cell in whole.items()]
        treefile.replace(path, ("{\n" + ",\n".join(lines) + "\n}\n").encode())

    def _read(self, ground: Ground, name: str) -> dict[str, Any]:
        path = self._path(ground, name)
        try:
            found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        except (OSError, ValueError, RecursionError) as error:
            raise RequestError(f"{path} holds no cells of a leaderboard: {error!r}") from error
        return found

    def _path(self, ground: Ground, name: str) -> Path:
        return (
            self.folder / "cells" / ground.name / f"{name.replace('/', '-').replace(' ', '-')}.json"
        )


def measure(board: Board, out: Path, say: Say, minutes: float | None = None) -> bool:
    """Measure what is not measured yet; return whether nothing is left.

    Args:
      board: what is wanted.
      out: the folder of the board.
      say: is told what goes on.
      minutes: after which no further cell is begun; none, if `None`.

    Raises:
      Interrupted: the process was asked to stop; whole cells are kept.
    """
    results, begun = Results(out), time.monotonic()
    with locked(out), asked_to_stop() as stop:
        for ground, fault, losses in _left(board, results):
            column = Column(ground, fault)
            for loss in losses:
                if stop():
                    raise Interrupted("stopped; whole cells are kept, and the same command goes on")
                if minutes is not None and time.monotonic() - begun > 60 * minutes:
                    say("the time is over; the same command goes on")
                    return False
                _measure(column, loss, results, say)
    return True


def _left(board: Board, results: Results) -> Iterator[tuple[Ground, Fault, list[Loss]]]:
    """Yield the columns in which something is not measured, with what it is: SFT first."""
    for ground in board.grounds:
        losses, faults = board.of(ground)
        order = sorted(losses, key=lambda loss: loss.source != FIRST)
        for fault in faults:
            if left := [one for one in order if results.cell(ground, one, fault) is None]:
                yield ground, fault, left


def _measure(column: Column, loss: Loss, results: Results, say: Say) -> None:
    ground, fault = column.ground, column.fault

    def told(text: str) -> None:
        say(f"{ground.name}, {fault.name}: {text}")

    if results.column(ground, fault) is None:
        told("preparing the data")
        results.keep(ground, "columns", fault, column.authors())
    if column.rate is None and loss.source != FIRST:
        column.rate = _rate(results, ground, fault)
    begun = time.monotonic()
    found = cell(column, loss, told)
    seconds = round(time.monotonic() - begun, 1)
    asked_ = asked(ground, loss, fault)
    results.keep(ground, loss.name, fault, {"asked": asked_, "seconds": seconds, **found})


def _rate(results: Results, ground: Ground, fault: Fault) -> float | None:
    """Return the learning rate that SFT is best with by its mean action, or as it acts."""
    held = results.cell(ground, Loss(name=FIRST, group=""), fault)
    if held is None:
        return None
    best = held["best"]
    return float(best[MEAN if MEAN in best else SAMPLED]["point"]["descent.learning_rate"])
