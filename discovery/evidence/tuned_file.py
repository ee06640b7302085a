"""Tuned settings in a file: where they were tuned, and each objective's as soon as it is found."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import mpo
from discovery.config import Config
from discovery.config.sections import SAMPLED
from discovery.evidence import stage
from discovery.evidence.tuning import Tuned, plan, tune
from discovery.host.processes import all_devices, primary, same_text
from discovery.search import streams
from discovery.search.situation import algorithm
from discovery.search.streams import Purpose
from mpo import treefile
from mpo.claim import differences, waited_for
from mpo.errors import RequestError, place_to_write
from mpo.log import Say


@dataclass(frozen=True)
class TunedFile:
    """What a file of tuned settings says.

    Attributes:
      situation: where agents were trained, as plain JSON values.
      budget: how the points were measured.
      objectives: the best point of each, by name.
    """

    situation: Mapping[str, Any]
    budget: Mapping[str, Any]
    objectives: Mapping[str, Tuned]

    def elsewhere(self, config: Config) -> list[str]:
        """Return a line for every setting of `config` that differs from where this was tuned."""
        return differences(_situation(config), self.situation)


def tuned_into(
    path: Path,
    config: Config,
    names: Sequence[str],
    seeds: int,
    episodes: int,
    say: Say,
    action: str = SAMPLED,
) -> dict[str, Tuned]:
    """Tune the objectives that `path` does not have yet, and write each as it is found.

    One that was tuned by another rule is tuned anew. Of several processes the primary one reads
    and writes the file.

    Args:
      path: of the file.
      config: the description whose task, data, training and seed are used.
      names: of the objectives.
      seeds: agents for each point.
      episodes: that measure each agent.
      say: is told what goes on.
      action: what agents do when they are measured, "sampled" or "mean".

    Raises:
      RequestError: `path` holds something else, or cannot be written to; nothing was trained.
    """
    budget: dict[str, Any] = {"seed": config.seed, "seeds": seeds, "episodes": episodes}
    if action != SAMPLED:  # as in files from before there was a choice
        budget["action"] = action
    empty = TunedFile(_situation(config), budget, {})
    text = same_text(_text(path) if primary() and path.exists() else "")
    held = _parsed(path, text) if text else empty
    if changed := held.elsewhere(config) + differences(budget, held.budget):
        raise RequestError(f"{path} was tuned with other settings: {'; '.join(changed)}")
    found = {
        name: one
        for name, one in held.objectives.items()
        if name not in names or one.grid == plan(algorithm(config, mpo.objective(name)))
    }
    if all(name in found for name in names):
        return found
    _write(path, empty, found)
    say("preparing the data")
    ground = stage.prepare(config, Purpose.TUNING, all_devices())
    key = streams.key(Purpose.TUNING, config.seed)
    for name in names:
        if name in found:
            continue
        told = partial(_points, say, name)
        found[name] = tune(name, ground, key, seeds, episodes, told, action)
        _write(path, empty, found)
    return found


def read_tuned(path: Path) -> TunedFile:
    """Return what a file that `tuned_into` wrote says."""
    return _parsed(path, _text(path))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"{path} holds no tuned settings: {error!r}") from error


def _parsed(path: Path, text: str) -> TunedFile:
    try:
        held = json.loads(text)
        objectives = {name: Tuned.from_json(one) for name, one in held["objectives"].items()}
        return TunedFile({**held["situation"]}, {**held["budget"]}, objectives)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RequestError(f"{path} holds no tuned settings: {error!r}") from error


def _situation(config: Config) -> dict[str, Any]:
    values = config.as_json()
    return {part: values[part] for part in ("task", "data", "training")}


def _write(path: Path, empty: TunedFile, found: Mapping[str, Tuned]) -> None:
    if not primary():
        return
    with place_to_write(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with waited_for(path.with_name(f".{path.name}.lock")), place_to_write(path):
        others = read_tuned(path).objectives if path.exists() else {}  # of a process beside this
        objectives = {name: one.as_json() for name, one in {**others, **found}.items()}
        held = {"situation": empty.situation, "budget": empty.budget, "objectives": objectives}
        treefile.replace(path, (json.dumps(held, indent=2) + "\n").encode())


def _points(say: Say, name: str, done: int, points: int) -> None:
    say(f"tuning {name}, {done} of {points} points done")
