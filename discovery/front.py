"""What a notebook or a script does in a line: prepare, train, tune, evaluate, record, load."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

import mpo
from discovery import config
from discovery.config import Config
from discovery.evidence import contest, stage, trajectory, tuning
from discovery.evidence.returns import Returns, Store
from discovery.evidence.trajectory import Trajectory
from discovery.evidence.tuning import Tuned
from discovery.host import startup
from discovery.host.processes import all_devices
from discovery.runs.folder import Folder
from discovery.runs.result import Result, found
from discovery.search import situation
from discovery.search.cohort import BOTH, Cohort
from discovery.search.situation import Situation
from discovery.search.streams import Purpose
from envs.data import Dataset
from mpo import paths
from mpo.errors import unknown
from mpo.objectives import Objective
from mpo.train import Algorithm, Metrics, stacked
from mpo.train import train as trained

Entry = str | os.PathLike[str] | Objective | Algorithm
"""An algorithm, an objective, or the name or place of one (see `mpo.find`)."""


def start(devices: int | None = None) -> None:
    """Settle the devices, one for each core by default, and keep what is compiled.

    To be called before JAX computes anything.
    """
    startup.host_devices(devices)
    startup.compilation_cache()


def describe(
    of: Config | str | os.PathLike[str] | Mapping[str, Any],
    changes: Mapping[str, Any] | None = None,
) -> Config:
    """Return the description of a run, or of where agents are trained.

    Args:
      of: another description, the name of a preset, a TOML or JSON file, or plain values.
      changes: settings on top by their paths, such as `{"data.kind": "noisy"}`.
    """
    if isinstance(of, Config):
        base = of
    elif isinstance(of, Mapping):
        base = config.from_json(of)
    elif Path(of).suffix in (".toml", ".json"):
        base = config.from_file(Path(of))
    else:
        base = config.preset(str(of))
    return config.changed(base, changes or {})


def prepare(described: Config, purpose: str = "evaluation") -> Situation:
    """Make the data (or take them from the cache), and bring them onto the devices.

    Args:
      described: task, data and training, as `describe` returns them.
      purpose: "discovery", "selection", "evaluation" or "tuning". Each has seeds of its own, and
        all but selection a draw of the data of its own.
    """
    return stage.prepare(described, _purpose(purpose), all_devices())


def dataset(described: Config, purpose: str = "evaluation", number: int = 0) -> Dataset:
    """Return the dataset of a description for a purpose; see `prepare`."""
    one = described.data[number]
    return situation.dataset_of(described, one, _purpose(purpose), lambda done, rows: None)


def authors(described: Config, purpose: str = "evaluation") -> dict[str, float]:
    """Return the mean return of the agents that made the first dataset, by name."""
    return situation.earned(described, _purpose(purpose))


def algorithm(entry: Entry, ground: Situation) -> Algorithm:
    """Return an algorithm as it is trained in a situation, from itself, an objective or a name."""
    if isinstance(entry, Objective | Algorithm):
        return ground.algorithm(entry)
    artifact = mpo.find(entry)
    return paths.put_known(ground.algorithm(artifact.objective), artifact.provenance.beside)


def train(entry: Entry, ground: Situation, seed: int = 0, number: int = 0) -> tuple[Any, Metrics]:
    """Train one agent, as `evaluate` trains that of this seed.

    Args:
      entry: an objective or algorithm, or what `mpo.objective` takes.
      ground: the situation, as `prepare` returned it.
      seed: of the agent's start and minibatches.
      number: which dataset of the situation, from 0.

    Returns:
      Its parameters, and the metrics of the training.
    """
    key = jax.random.fold_in(ground.key, seed)
    first, order, _ = jax.random.split(key, 3)
    one = algorithm(entry, ground)
    start = ground.begins(one.objective, number)
    params = situation.begin(ground.task, first, ground.moments[number], start)
    source, policy = ground.sources[number], ground.task.policy
    result: tuple[Any, Metrics] = trained(one, source, policy, order, start=params)
    return result


def earn(entry: Entry, ground: Situation, seed: int = 0, episodes: int = 100) -> float:
    """Return the mean true return of the agent of a seed."""
    keys = jax.random.fold_in(ground.key, seed)[None]
    one = stacked([algorithm(entry, ground)], each=1)
    return float(Cohort(ground, episodes).earn(one, keys)[0])


def tune(name: str, ground: Situation, seeds: int = 3, episodes: int = 32) -> Tuned:
    """Give an objective settings of its own: the best point of a grid that grows.

    Args:
      name: of the objective.
      ground: prepared for the purpose "tuning".
      seeds: agents for each point.
      episodes: that measure each agent.
    """
    return tuning.tune(name, ground, ground.key, seeds, episodes)


def evaluate(
    entries: Sequence[str] | Mapping[str, Entry],
    ground: Situation,
    seeds: int = 8,
    episodes: int = 100,
    out: Path | None = None,
    action: str = BOTH,
) -> Returns:
    """Train an agent by each algorithm and seed, and return the mean true return of each.

    Where agents are measured both by sampled actions and by their mean, that of sampled ones is
    returned, and the file has both.

    Args:
      entries: names of objectives, or algorithms by a name of one's own.
      ground: prepared for the purpose "evaluation".
      seeds: agents of each, paired seed by seed.
      episodes: that measure each agent.
      out: a CSV file that keeps every return; the same call goes on after an interruption.
      action: what agents do when they are measured: "sampled", "mean", or "both" where they can.
    """
    named = entries if isinstance(entries, Mapping) else {name: name for name in entries}
    algorithms = {name: algorithm(entry, ground) for name, entry in named.items()}
    return contest.evaluate(
        algorithms, ground, ground.key, range(seeds), episodes, Store(out), action=action
    )


def record(entry: Entry, ground: Situation, agents: int = 1) -> Trajectory:
    """Train agents, and return the log-probabilities their loss saw as training went on."""
    return trajectory.record(algorithm(entry, ground), ground, ground.key, agents=agents)


def load(folder: str | os.PathLike[str]) -> Result:
    """Return what a finished run found, and what it is worth."""
    return found(Folder(Path(folder)))


def _purpose(name: str) -> Purpose:
    known = {purpose.name.lower(): purpose for purpose in Purpose}
    if name not in known:
        raise unknown("purpose", name, known)
    return known[name]
