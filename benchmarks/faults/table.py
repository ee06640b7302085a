"""Every fault in turn, and the table of what became of them.

rows = list(measure(folder, trials=20))
print(markdown(rows))
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.faults import commands, files, work, writers
from benchmarks.faults.jobs import search, training, tuned
from benchmarks.faults.trials import Row
from discovery.evidence.markdown import table
from discovery.runs import discover

PARTS = ("files", "folders", "kills", "disks", "clocks", "processes", "python")


def measure(folder: Path, trials: int, parts: tuple[str, ...] = PARTS) -> Iterator[Row]:
    """Do every fault, part after part.

    Args:
      folder: to work in, empty.
      trials: of a kind of file; of a fault whose trial starts a process there are fewer.
      parts: those of `PARTS` that are wanted.
    """
    jobs = [search(folder), training()]
    run = folder / "run"
    discover(tuned(), run, quiet=True)
    few = max(trials // 16, 1)
    places = (folder / f"place-{number}" for number in itertools.count())

    def place() -> Path:
        own = next(places)
        own.mkdir()
        return own

    rows: dict[str, Callable[[], Iterator[Row]]] = {
        "files": lambda: files.rows(run, place(), trials),
        "folders": lambda: (work.damaged(job, place(), max(trials // 2, 1)) for job in jobs),
        "kills": lambda: iter([
            *(work.killed(job, place(), few) for job in jobs),
            writers.killed(place(), trials),
        ]),
        "disks": lambda: iter([
            *(work.no_room(job, place(), few) for job in jobs),
            work.saves(place(), trials),
        ]),
        "clocks": lambda: (work.clock(job, place(), few) for job in jobs),
        "processes": lambda: iter([
            writers.at_once(place(), trials),
            commands.held_by_another(jobs, place()),
        ]),
        "python": lambda: iter(commands.python_by_path(run, place())),
    }  # fmt: skip
    for part in parts:
        yield from rows[part]()


def markdown(rows: list[Row]) -> str:
    """Return the table, and below it what each surprise was."""
    head = (
        "what was done",
        "what is promised",
        "trials",
        "refused in a line",
        "whole",
        "surprises",
    )
    cells = [
        (one.fault, one.promise, *map(str, (one.trials, one.refused, one.whole)),
         str(len(one.surprises)))
        for one in rows
    ]  # fmt: skip
    odd = [f"- {one.fault}: {said}" for one in rows for said in one.surprises]
    return "\n".join([table(head, cells), *(["", "Surprises:", "", *odd] if odd else [])])


def plain(rows: list[Row]) -> list[dict[str, object]]:
    """Return the rows as plain JSON values."""
    return [dataclasses.asdict(one) for one in rows]


def of_plain(values: list[dict[str, object]]) -> list[Row]:
    """Return what `plain` was given."""
    return [Row(**{**one, "surprises": tuple(one["surprises"])}) for one in values]  # type: ignore[arg-type]
