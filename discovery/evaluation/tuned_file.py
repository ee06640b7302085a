"""Tuned settings in a file: each objective's is written as soon as it is found."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from discovery import situation, streams
from discovery.config import Config
from discovery.evaluation.tuning import Tuned, tune
from discovery.processes import all_devices
from discovery.streams import Purpose
from mpo import treefile
from mpo.errors import RequestError

Say = Callable[[str], None]


def tuned_into(
    path: Path, config: Config, names: Sequence[str], seeds: int, episodes: int, say: Say
) -> dict[str, Tuned]:
    """Tune the objectives that `path` does not have yet, and write each as it is found.

    Raises:
      RequestError: `path` holds something else, or cannot be written to; nothing was trained.
    """
    found = read_tuned(path) if path.exists() else {}
    if all(name in found for name in names):
        return found
    _write(path, found)
    say("preparing the data")
    ground = situation.prepare(config, Purpose.TUNING, all_devices())
    key = streams.key(Purpose.TUNING, config.seed)
    for name in names:
        if name in found:
            continue
        told = partial(_points, say, name)
        found[name] = tune(name, ground, key, seeds, episodes, told)
        _write(path, found)
    return found


def _write(path: Path, found: Mapping[str, Tuned]) -> None:
    content = json.dumps({name: one.as_json() for name, one in found.items()}, indent=2) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        treefile.replace(path, content.encode())
    except (PermissionError, FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise RequestError(f"cannot write {path}: {error.strerror}") from error


def _points(say: Say, name: str, done: int, points: int) -> None:
    say(f"{name}: {done} of {points} points done")


def read_tuned(path: Path) -> dict[str, Tuned]:
    """Return what `tuned_into` wrote."""
    try:
        return {n: Tuned.from_json(held) for n, held in json.loads(path.read_text()).items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise RequestError(f"{path} holds no tuned settings: {error}") from error
