"""What another process's run does, read from its folder; nothing in it is touched."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from discovery.config import Config, from_json
from discovery.runs.folder import Folder
from discovery.runs.lines import of_a_generation
from mpo.claim import Claim, at_work
from mpo.errors import RequestError
from mpo.log import JsonLog, Line, Log

FINISHED, STOPPED = "finished", "stopped"
SEARCHING: Final = "searching"
SELECTING, TUNING, COMPARING = "selecting", "tuning", "comparing"


@dataclass(frozen=True)
class Moment:
    """What is new since the last look.

    Attributes:
      phase: what the run does now: one of the words above.
      lines: the generations that ended, as the run's log has them.
      compared: agents that the comparison has measured so far.
    """

    phase: str
    lines: tuple[Line, ...]
    compared: int


def description(path: Path) -> Config:
    """Return what a run's folder was begun with.

    Raises:
      RequestError: it is no run's folder.
    """
    folder = Folder(path)
    request = Claim(path, folder.config.name, "run").read()
    if request is None:
        raise RequestError(f"{path} holds no run: give the folder of `discovery run --out`")
    return from_json(request)


def follow(
    path: Path, every: float = 1.0, wait: Callable[[float], None] = time.sleep
) -> Iterator[Moment]:
    """Yield what happens in a run's folder, until it is finished or nobody works in it.

    Generations that a run went back over, having been interrupted, come once.

    Args:
      path: the folder.
      every: seconds between looks.
      wait: waits for so many seconds.
    """
    folder, generations = Folder(path), description(path).search.generations
    seen, before = -1, ("", -1)
    while True:
        held = at_work(path)  # before the files are read, so that the last of them is seen
        found = filter(of_a_generation, JsonLog(folder.metrics).lines())
        lines = [line for line in found if line["generation"] > seen]
        seen = max([seen, *(line["generation"] for line in lines)])
        compared = max(len(Log(folder.returns).texts()) - 1, 0)
        phase = _phase(folder, seen + 1 >= generations, compared, held)
        if lines or (phase, compared) != before:
            yield Moment(phase, tuple(lines), compared)
        if phase in (FINISHED, STOPPED):
            return
        before = (phase, compared)
        wait(every)


def _phase(folder: Folder, searched: bool, compared: int, held: bool) -> str:
    if folder.report.exists() and not held:
        return FINISHED
    if not held:
        return STOPPED
    if not searched:
        return SEARCHING
    if compared:
        return COMPARING
    return TUNING if folder.tuned.exists() else SELECTING
