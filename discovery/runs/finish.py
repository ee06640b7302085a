"""How a run ends: a candidate is selected, compared on data it never saw, and written down."""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import mpo
from discovery.config import Config
from discovery.evidence import (
    Returns,
    Store,
    Table,
    Tuned,
    contestants,
    evaluate,
    trajectory,
    tuning,
)
from discovery.evidence.statistics import Mean
from discovery.evidence.trajectory import Trajectory
from discovery.evidence.tuned_file import tuned_into
from discovery.host.processes import all_devices, machine, primary
from discovery.runs.folder import Folder
from discovery.runs.loop import PACKAGES, Progress
from discovery.runs.selection import select
from discovery.runs.watch import Watcher
from discovery.search import situation, streams
from discovery.search.search import Search
from discovery.search.streams import Purpose
from mpo import paths, treefile
from mpo.jsonlines import Line, strict
from mpo.objectives import Objective
from mpo.versions import versions

FOUND = "found"


@dataclass(frozen=True)
class Result:
    """What a run found, and what it is worth.

    Attributes:
      objective: the one that was selected.
      selected: the name of the candidate it was.
      candidates: mean score of each candidate, over the seeds of the selection: the return of
        agents, unless the run selects by another measure.
      returns: of each objective that was compared, seed by seed.
      authors: mean return of the agents that made the data, by name.
      tuned: settings of the objectives it was compared with, if they were tuned.
      trajectory: of an agent trained under it on the data of the search; `None` in a
        result that was read from a folder, where it has a file of its own.
      beside: settings of the algorithm that were found with the objective, by their paths.
    """

    objective: Objective
    selected: str
    candidates: Mapping[str, Mean]
    returns: Returns
    authors: Mapping[str, float]
    tuned: Mapping[str, Tuned] = field(default_factory=dict)
    trajectory: Trajectory | None = None
    beside: Mapping[str, float] = field(default_factory=dict)

    def table(self) -> Table:
        """Return the comparison: differences are to the first objective it was against."""
        first, *others = (name for name in self.returns if name != FOUND)
        ordered = {name: self.returns[name] for name in (first, FOUND, *others)}
        levels = {f"{name}, in the data": value for name, value in self.authors.items()}
        notes = {name: "tuned" if name in self.tuned else "default" for name in (first, *others)}
        return Table.of(ordered, levels, notes)

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values, but for the objective itself."""
        return {
            "selected": self.selected,
            "candidates": {name: strict(vars(mean)) for name, mean in self.candidates.items()},
            "returns": {name: _nullable(values) for name, values in self.returns.items()},
            "authors": dict(self.authors),
            "tuned": {name: one.as_json() for name, one in self.tuned.items()},
        }


def finish(search: Search, progress: Progress, watcher: Watcher, folder: Folder) -> Result:
    """Select, and compare with the objectives that the run is evaluated against.

    What was tuned, and every return, is kept in `folder` as it comes, and not computed again.
    """
    config = search.config
    watcher.phase("selecting")
    selected, candidates, algorithm = select(search, progress.state, folder, watcher.phase)
    watcher.phase("recording a training")
    seen = trajectory.record(
        algorithm, search.situation, streams.key(Purpose.SELECTION, config.seed)
    )
    asked = config.evaluation
    tuned = _tuned(config, watcher, folder) if asked.tune else {}
    watcher.phase("preparing other data")
    ground = situation.prepare(config, Purpose.EVALUATION, all_devices())
    returns = evaluate(
        {FOUND: algorithm, **contestants(asked.against, config, tuned)},
        ground,
        streams.key(Purpose.EVALUATION, config.seed),
        range(asked.seeds),
        asked.episodes,
        Store(folder.returns),
        told=lambda name, done, seeds: watcher.phase(f"evaluating {name}, seed {done} of {seeds}"),
    )
    authors = situation.earned(config, Purpose.EVALUATION)
    beside = {
        path: float(paths.get(algorithm, path))
        for path in config.family.over
        if not path.startswith("objective.")
    }
    objective = algorithm.objective
    return Result(objective, selected, candidates, returns, authors, tuned, seen, beside)


def _tuned(config: Config, watcher: Watcher, folder: Folder) -> dict[str, Tuned]:
    """Tune the objectives that the run is evaluated against, on data of their own draw."""
    names = config.evaluation.against
    episodes = min(tuning.EPISODES, config.evaluation.episodes)
    return tuned_into(folder.tuned, config, names, tuning.SEEDS, episodes, watcher.phase)


def write(
    config: Config, progress: Progress, result: Result, folder: Folder, command: str | None = None
) -> None:
    """Write the artifact, the numbers and the figures; the report last, as it says: finished."""
    if not primary():
        return
    from discovery import report
    from discovery.evidence.figures import search_curve
    from discovery.evidence.landscape import Grid, draw

    about = provenance(config, progress.lines, result, command)
    mpo.save(result.objective, folder.objective, about)
    figures = folder.path / "figures"
    caption = f"{config.about or config.task.name} (seed {config.seed})"
    search_curve(progress.lines, figures / "search.png", result.authors, caption)
    seen = {} if result.trajectory is None else {FOUND: result.trajectory}
    for one in seen.values():
        one.save(folder.path / trajectory.FILE)
    drawn = {"ORPO": mpo.objective("orpo"), FOUND: result.objective}
    grid = Grid.around(list(seen.values()))
    draw(drawn, grid, figures / "landscape.png", trajectories=seen)
    results = json.dumps(result.as_json(), indent=2, allow_nan=False) + "\n"
    treefile.replace(folder.results, results.encode())
    report.write(folder.path)


def provenance(
    config: Config, lines: list[Line], result: Result, command: str | None
) -> mpo.Provenance:
    """Return where the objective comes from."""
    recipes = [situation.plan(config, one, Purpose.DISCOVERY).recipe for one in config.data]
    return mpo.Provenance(
        task=config.task.name,
        data=[recipe.as_json() | {"sha256": recipe.digest} for recipe in recipes],
        config=config.as_json(),
        seed=config.seed,
        generations=len(lines),
        fitness_history=[
            {name: line[name] for name in ("mean", "best", "spread", "middle", "start")}
            for line in lines
        ],
        fitness=result.candidates[result.selected].mean,
        beside=result.beside,
        results=result.as_json(),
        versions=versions(*PACKAGES),
        commit=_commit(),
        command=command,
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        extra={"devices": machine()},
    )


def _nullable(values: np.ndarray) -> list[float | None]:
    return [float(v) if math.isfinite(v) else None for v in values]


def _commit() -> str | None:
    """Return the commit of the checkout this package runs from, if it runs from one."""
    import subprocess

    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    asked = ["git", "-C", str(root), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=10)
    except OSError:
        return None
    return done.stdout.strip() or None
