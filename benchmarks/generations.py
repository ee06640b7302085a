"""A whole generation of a discovery, and what its time goes to."""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from benchmarks.measuring import Row, Skipped, Table, peak_device_memory
from benchmarks.workload import Workload
from discovery import config
from discovery.config import Config
from discovery.runs.folder import Folder
from discovery.runs.loop import climb
from discovery.runs.watch import Watcher
from discovery.search.search import PROBES, Search
from mpo.log import Line

PARTS = {"train": ("train",), "evaluate": ("score",), "ask and tell": ("ask", "tell")}
"""Parts of a generation, and the laps of the run's own clock that they are."""


def split(work: Workload) -> Table:
    """Split the generations of a discovery of the asked sizes."""
    asked = work.setting
    return table(work.search(asked.training, asked.generations + 1))


PAPER: Mapping[str, str] = MappingProxyType(
    {"hopper": "hopper-paper", "three_legged_ant": "tla-paper"}
)
"""The presets of the papers' sizes, by task."""


def paper(work: Workload) -> Table:
    """Split one generation of the paper's size, after one that compiles."""
    described = of_paper(work.setting.task)
    return table(Search(described, work.prepared(described)))


def of_paper(task: str) -> Config:
    """Return two generations of the preset of the paper's size."""
    if task not in PAPER:
        raise Skipped(f"no preset has the size of a paper for task {task!r}")
    return config.changed(config.preset(PAPER[task]), {"search.generations": 2})


def table(search: Search) -> Table:
    """Run a search, and return what the generations after the first spent their time on."""
    watch = _Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        watch.start()
        climb(search, Folder(Path(folder)), watch, lambda: False)
    asked = search.config.search
    agents = (asked.population + PROBES) * asked.seeds
    steps = agents * asked.episodes * search.situation.task.horizon
    updates = search.situation.descent.count(search.situation.sources[0].size)
    return Table(
        f"{agents} agents of {updates:,} updates, {asked.episodes} episodes each",
        shares(watch.walls[1:], watch.lines[1:], agents, steps),
        (
            f"the first, which compiles, took {watch.walls[0]:.1f} s",
            "host is what is neither training, evaluating, asking nor telling: "
            "log, checkpoint, and what Python does in between",
            *_memory(),
        ),
    )


def shares(walls: list[float], lines: list[Line], agents: int, steps: int) -> dict[str, Row]:
    """Return the mean seconds of each part of a generation, and its share of the whole."""
    whole = sum(walls) / len(walls)
    seconds = {
        part: sum(line["split"][lap] for line in lines for lap in laps) / len(lines)
        for part, laps in PARTS.items()
    }
    seconds["host"] = whole - sum(seconds.values())
    rows: dict[str, Row] = {n: {"s": s, "share": s / whole} for n, s in seconds.items()}
    rows["train"] = {**rows["train"], "agents/s": agents / seconds["train"]}
    rows["evaluate"] = {**rows["evaluate"], "env steps/s": steps / seconds["evaluate"]}
    rows["whole"] = {
        "s": whole, "share": 1.0, "agents/s": agents / whole, "env steps/s": steps / whole
    }  # fmt: skip
    return rows


def _memory() -> list[str]:
    """Say how much of a device was in use, if it tells."""
    peak = peak_device_memory()
    return [] if peak is None else [f"{peak / 1e9:.2f} GB were in use on the first device at most"]


class _Stopwatch(Watcher):
    """Notes when each generation was over, its line written and its checkpoint saved."""

    def __init__(self) -> None:
        self.walls: list[float] = []
        self.lines: list[Line] = []
        self._before = 0.0

    def start(self) -> None:
        """Begin the first generation."""
        self._before = time.perf_counter()

    def generation(self, line: Line) -> None:
        """End a generation, and begin the next."""
        now = time.perf_counter()
        self.walls.append(now - self._before)
        self.lines.append(line)
        self._before = now
