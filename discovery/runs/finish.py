"""How a run ends: a candidate is selected, compared on data it never saw, and written down."""

import json
import time
from pathlib import Path

import mpo
from discovery.config import Config
from discovery.evidence import (
    Store,
    Tuned,
    authors,
    contestants,
    evaluate,
    stage,
    trajectory,
    tuning,
)
from discovery.evidence.contest import CHUNK, all_measures
from discovery.evidence.returns import BY_MEAN, LOG_STD, MEASURES, RETURN
from discovery.evidence.tuned_file import tuned_into
from discovery.host.processes import all_devices, machine, primary
from discovery.runs.folder import Folder
from discovery.runs.loop import PACKAGES, Progress
from discovery.runs.result import FOUND, Result
from discovery.runs.selection import select
from discovery.runs.watch import Watcher
from discovery.search import situation, streams
from discovery.search.search import Search
from discovery.search.streams import Purpose
from mpo import paths, treefile
from mpo.log import Line
from mpo.versions import versions


def finish(search: Search, progress: Progress, watcher: Watcher, folder: Folder) -> Result:
    """Select, and compare with the objectives that the run is evaluated against.

    What was tuned, and every return, is kept in `folder` as it comes, and not computed again.
    """
    config = search.config
    watcher.phase("selecting")
    selected, candidates, algorithm = select(search, progress.state, folder, watcher.phase)
    watcher.phase("recording a training")
    seen = None
    if search.situation.has_data:
        key = streams.key(Purpose.SELECTION, config.seed)
        seen = trajectory.record(algorithm, search.situation, key)
    asked = config.evaluation
    tuned = tuned_against(config, watcher, folder) if asked.tune else {}
    watcher.phase("preparing other data")
    ground = stage.prepare(config, Purpose.EVALUATION, all_devices())
    compared = {FOUND: algorithm, **contestants(asked.against, config, tuned)}
    store, seeds = Store(folder.returns), range(asked.seeds)
    evaluate(
        compared,
        ground,
        streams.key(Purpose.EVALUATION, config.seed),
        seeds,
        asked.episodes,
        store,
        told=lambda name, done, seeds: watcher.phase(f"evaluating {name}, seed {done} of {seeds}"),
    )
    earned, by_mean = situation.earned(config, Purpose.EVALUATION), dict[str, float]()
    if BY_MEAN in all_measures(ground.task):
        size = min(CHUNK, asked.seeds)
        by_mean = authors.by_mean_action(config, ground, earned, asked.episodes, size)
    beside = {
        path: float(paths.get(algorithm, path))
        for path in config.family.paths or ()
        if not path.startswith("objective.")
    }
    measured = {m: store.returns(compared, seeds, m) for m in all_measures(ground.task)}
    return Result(
        objective=algorithm.objective,
        selected=selected,
        candidates=candidates,
        returns=measured[RETURN],
        authors=earned,
        authors_by_mean=by_mean,
        tuned=tuned,
        trajectory=seen,
        beside=beside,
        by_mean=measured.get(BY_MEAN, {}),
        log_std=measured.get(LOG_STD, {}),
        measured={name: own for name, own in measured.items() if name not in MEASURES},
        stage=stage.described(config),
        data=[situation.described(config, one, Purpose.EVALUATION) for one in config.data],
    )


def tuned_against(config: Config, watcher: Watcher, folder: Folder) -> dict[str, Tuned]:
    """Tune the objectives that the run is evaluated against, on data of their own draw."""
    names = config.evaluation.against
    episodes = min(tuning.EPISODES, config.evaluation.episodes)
    return tuned_into(folder.tuned, config, names, tuning.SEEDS, episodes, watcher.phase)


def write(
    config: Config, progress: Progress, result: Result, folder: Folder, command: str | None = None
) -> None:
    """Write the artifact, the numbers and the figures."""
    if not primary():
        return
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


def provenance(
    config: Config, lines: list[Line], result: Result, command: str | None
) -> mpo.Provenance:
    """Return the provenance of the objective that was found."""
    return mpo.Provenance(
        task=config.task.name,
        data=[situation.origin(config, one) for one in config.data],
        config=config.as_json(),
        seed=config.seed,
        generations=config.search.generations,
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
