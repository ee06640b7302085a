"""A discovery from its description to its artifact."""

import os
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path

import mpo
from discovery import plugins
from discovery.config import Config
from discovery.evidence import stage
from discovery.host.processes import all_devices, primary
from discovery.host.stopping import asked_to_stop
from discovery.runs import finish, loop, selection, trackers
from discovery.runs.beginning import beginning
from discovery.runs.folder import Folder
from discovery.runs.result import Result, stored
from discovery.runs.watch import Everyone, Rates, Stopper
from discovery.search import search as searching
from discovery.search import situation
from discovery.search.search import PROBES, Search
from discovery.search.streams import Purpose


def discover(
    config: Config,
    out: str | os.PathLike[str],
    *,
    track: Sequence[str] = (),
    quiet: bool = False,
    command: str | None = None,
) -> Result:
    """Search, select, compare and write down; or go on where an earlier call was stopped.

    Args:
      config: the description of the run: task, data, training, search and evaluation.
      out: the folder of the run. It belongs to this description from now on.
      track: where generations are sent to, besides the folder: names in
        `discovery.runs.trackers.TRACKERS`.
      quiet: whether to leave out the display of progress on stderr.
      command: the command line that asked for the run, for the provenance of what is found.

    Raises:
      RequestError: the description cannot be carried out, or the folder is not this run's;
        nothing was written.
      Interrupted: the process was asked to stop (Ctrl-C, SIGTERM); everything is saved.
    """
    check(config, track)
    folder = Folder(Path(out))
    with ExitStack() as stack:
        stack.enter_context(folder.claimed(config) if primary() else nullcontext())
        if (result := stored(folder)) is not None:
            return result
        stop = stack.enter_context(asked_to_stop())
        followed = track if primary() else ()
        watcher = stack.enter_context(
            trackers.watching(config, rates(config), folder.path, followed, quiet or not primary())
        )
        watcher.phase("preparing the data")
        ground = stage.prepare(config, Purpose.DISCOVERY, all_devices())
        search = Search(config, ground, beginning(config, ground, folder, watcher))
        watcher.phase("searching")
        progress = loop.climb(search, folder, watcher, stop)
        ending = Everyone([Stopper(stop), watcher])
        result = finish.finish(search, progress, ending, folder)
        finish.write(config, progress, result, folder, command)
        if primary():
            from discovery import report

            report.write(folder.path)  # the last file: a folder that has it is finished
        watcher.phase("finished")
        return result


def check(config: Config, track: Sequence[str] = ()) -> None:
    """Refuse a description that cannot be carried out; nothing is made or written."""
    plugins.load(config.plugins)
    situation.check(config)
    searching.built(config)
    trackers.check(track)
    selection.measure(config.evaluation)
    for name in config.evaluation.against:
        mpo.objective(name)


def rates(config: Config) -> Rates:
    """Return how many agents and environment steps each generation of the run takes."""
    import envs

    asked = config.search
    agents = (asked.population + PROBES) * asked.seeds * len(config.data)
    horizon = envs.task(config.task.name, **dict(config.task.settings)).horizon
    return Rates(asked.generations, agents, agents * asked.episodes * horizon)
