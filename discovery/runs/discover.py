"""A discovery from its description to its artifact."""

import json
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path

import numpy as np

import mpo
from discovery.config import Config
from discovery.evidence import Tuned
from discovery.evidence.statistics import Mean
from discovery.host.processes import all_devices, primary
from discovery.host.stopping import asked_to_stop
from discovery.runs import finish, loop, selection, trackers
from discovery.runs.finish import Result
from discovery.runs.folder import Folder
from discovery.runs.watch import Everyone, Rates, Stopper
from discovery.search import search as searching
from discovery.search import situation
from discovery.search.search import PROBES, Search
from discovery.search.streams import Purpose
from mpo.errors import RequestError
from mpo.jsonlines import numbers


def discover(
    config: Config,
    out: Path,
    *,
    track: Sequence[str] = (),
    quiet: bool = False,
    command: str | None = None,
) -> Result:
    """Search, select, compare and write down; or go on where an earlier call was stopped.

    Args:
      config: what to discover for.
      out: the folder of the run. It belongs to this description from now on.
      track: names of `discovery.runs.trackers.TRACKERS`.
      quiet: show nothing.
      command: that asks, for the provenance of what is found.

    Raises:
      RequestError: the description cannot be carried out, or the folder is not this run's;
        nothing was written.
      Interrupted: the process was asked to stop (Ctrl-C, SIGTERM); everything is saved.
    """
    check(config, track)
    folder = Folder(out)
    with ExitStack() as stack:
        stack.enter_context(folder.claimed(config) if primary() else nullcontext())
        if (result := stored(folder)) is not None:
            return result
        stop = stack.enter_context(asked_to_stop())
        followed = track if primary() else ()
        watcher = stack.enter_context(
            trackers.watching(config, rates(config), out, followed, quiet or not primary())
        )
        watcher.phase("preparing the data")
        ground = situation.prepare(config, Purpose.DISCOVERY, all_devices())
        search = Search(config, ground)
        watcher.phase("searching")
        progress = loop.climb(search, folder, watcher, stop)
        ending = Everyone([Stopper(stop), watcher])
        result = finish.finish(search, progress, ending, folder)
        finish.write(config, progress, result, folder, command)
        return result


def check(config: Config, track: Sequence[str] = ()) -> None:
    """Refuse a description that cannot be carried out; nothing is made or written."""
    situation.check(config)
    searching.built(config)
    trackers.check(track)
    selection.measure(config.evaluation)
    for name in config.evaluation.against:
        mpo.objective(name)


def rates(config: Config) -> Rates:
    """Return what a generation of the run consists of."""
    import envs

    asked = config.search
    agents = (asked.population + PROBES) * asked.seeds * len(config.data)
    horizon = envs.task(config.task.name, **dict(config.task.settings)).horizon
    return Rates(asked.generations, agents, agents * asked.episodes * horizon)


def stored(folder: Folder) -> Result | None:
    """Return what a finished run found; `None` for one that is not finished."""
    return found(folder) if folder.report.exists() else None


def found(folder: Folder) -> Result:
    """Return what the results of a run say.

    Raises:
      RequestError: they are not there, or damaged.
    """
    objective = mpo.load(folder.objective).objective
    try:
        held = json.loads(folder.results.read_text())
        return Result(
            objective=objective,
            selected=held["selected"],
            candidates={name: Mean(**numbers(mean)) for name, mean in held["candidates"].items()},
            returns={name: np.array(own, float) for name, own in held["returns"].items()},
            authors={name: float(value) for name, value in held["authors"].items()},
            tuned={n: Tuned.from_json(one) for n, one in held.get("tuned", {}).items()},
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise RequestError(f"{folder.results} is damaged or missing: {error!r}") from error
