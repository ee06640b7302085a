"""A whole generation of a discovery, and what its time goes to."""

import tempfile
import time
from pathlib import Path

from discovery.bench.table import Row, Table
from discovery.bench.workload import Workload
from discovery.runs.folder import Folder
from discovery.runs.log import Line
from discovery.runs.loop import climb
from discovery.runs.watch import Watcher
from discovery.search import PROBES, Search

PARTS = {"train": ("train",), "evaluate": ("score",), "ask and tell": ("ask", "tell")}
"""Parts of a generation, and the laps of the run's own clock that they are."""


def measure(work: Workload) -> Table:
    """Split the generations of a discovery of the asked sizes."""
    generations = work.setting.generations + 1
    training = {"updates": work.setting.training}
    search = work.search(training, search={"generations": generations})
    return table(search)


PAPER = {
    "training": {"epochs": 1},
    "family": {"potential": "network", "settings": {"units": 126}},
    "search": {"population": 256, "episodes": 100, "generations": 2},
    "data": {"rows": 5120},
}
"""The mirror-preference paper, section 4, in segments as elsewhere."""


def paper(work: Workload) -> Table:
    """Split one generation of the paper's size, after one that compiles."""
    sections = {name: section for name, section in PAPER.items() if name != "training"}
    return table(work.search(PAPER["training"], **sections))


def table(search: Search) -> Table:
    """Run a search, and return what the generations after the first spent their time on."""
    watch = _Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        watch.start()
        climb(search, Folder(Path(folder)), watch, lambda: False)
    asked = search.config.search
    agents = (asked.population + PROBES) * asked.seeds
    steps = agents * asked.episodes * search.situation.task.horizon
    updates = search.situation.hyper.count(search.situation.sources[0].size)
    return Table(
        f"a generation: {agents} agents of {updates:,} updates, {asked.episodes} episodes each",
        split(watch.walls[1:], watch.lines[1:], agents, steps),
        (
            f"the first, which compiles, took {watch.walls[0]:.1f} s",
            "host is what is neither training, evaluating, asking nor telling: "
            "log, checkpoint, and what Python does in between",
        ),
    )


def split(walls: list[float], lines: list[Line], agents: int, steps: int) -> dict[str, Row]:
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
