"""An evaluation in a folder: what was asked, every return as it comes, the table in the end."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from discovery import situation, streams
from discovery.config import Config
from discovery.config.reading import differences
from discovery.evaluation.contest import Contestant, evaluate
from discovery.evaluation.returns import Store
from discovery.evaluation.table import Table
from discovery.evaluation.tuning import Tuned, tune
from discovery.processes import all_devices
from discovery.situation import earned
from discovery.streams import Purpose
from mpo import treefile
from mpo.errors import RequestError
from mpo.versions import versions

Say = Callable[[str], None]


@dataclass(frozen=True)
class Evaluation:
    """What is asked.

    Attributes:
      config: whose task, data and training are meant.
      contestants: by name.
      seeds: agents for each.
      episodes: that measure each agent.
      command: that asked, for the record.
    """

    config: Config
    contestants: Mapping[str, Contestant]
    seeds: int
    episodes: int
    command: str

    def as_json(self) -> dict[str, Any]:
        """Return what decides the returns, as plain JSON values."""
        parts = ("task", "data", "training", "seed")
        return {
            **{name: value for name, value in self.config.as_json().items() if name in parts},
            "episodes": self.episodes,
        }


def run(asked: Evaluation, out: Path | None, say: Say) -> Table:
    """Evaluate, in `out` if it is given: there an interrupted evaluation goes on.

    Raises:
      RequestError: the folder holds an evaluation of something else.
    """
    store = Store() if out is None else _claimed(asked, out)
    say("preparing the data")
    ground = situation.prepare(asked.config, Purpose.EVALUATION, all_devices())
    returns = evaluate(
        asked.contestants,
        ground,
        streams.key(Purpose.EVALUATION, asked.config.seed),
        range(asked.seeds),
        asked.episodes,
        store,
        told=lambda name, done, seeds: say(f"{name}: {done} of {seeds} seeds done"),
    )
    levels = {f"{n}, in the data": v for n, v in earned(asked.config, Purpose.EVALUATION).items()}
    notes = {n: "tuned" if c.tuned else "default" for n, c in asked.contestants.items()}
    table = Table.of(returns, levels, notes)
    if out is not None:
        content = {"command": asked.command, "versions": versions("jax", "brax"), **table.as_json()}
        text = json.dumps(content, indent=2, allow_nan=False) + "\n"
        treefile.replace(out / "results.json", text.encode())
        treefile.replace(out / "table.md", (table.markdown() + "\n").encode())
    return table


def tuned_into(
    path: Path, config: Config, names: Sequence[str], seeds: int, episodes: int, say: Say
) -> dict[str, Tuned]:
    """Tune the objectives that `path` does not have yet, and write each as it is found."""
    found = read_tuned(path) if path.exists() else {}
    if all(name in found for name in names):
        return found
    say("preparing the data")
    ground = situation.prepare(config, Purpose.TUNING, all_devices())
    key = streams.key(Purpose.TUNING, config.seed)
    for name in names:
        if name in found:
            continue
        told = partial(_points, say, name)
        found[name] = tune(name, ground, key, seeds, episodes, told)
        content = json.dumps({n: t.as_json() for n, t in found.items()}, indent=2) + "\n"
        path.parent.mkdir(parents=True, exist_ok=True)
        treefile.replace(path, content.encode())
    return found


def _points(say: Say, name: str, done: int, points: int) -> None:
    say(f"{name}: {done} of {points} points done")


def read_tuned(path: Path) -> dict[str, Tuned]:
    """Return what `tuned_into` wrote."""
    try:
        return {n: Tuned.from_json(held) for n, held in json.loads(path.read_text()).items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise RequestError(f"{path} holds no tuned settings: {error}") from error


def _claimed(asked: Evaluation, out: Path) -> Store:
    """Make the folder this evaluation's; more objectives or seeds may join those it has."""
    path, wanted = out / "evaluation.json", json.loads(json.dumps(asked.as_json()))
    wanted["objectives"] = {
        name: {"learning_rate": one.learning_rate, "settings": _fingerprint(one)}
        for name, one in asked.contestants.items()
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        held = json.loads(path.read_text()) if path.exists() else dict(wanted)
    except (OSError, ValueError) as error:
        raise RequestError(f"cannot use {out}: {error}") from error
    both = {**held, "objectives": {**wanted["objectives"], **held["objectives"]}}
    now = {**wanted, "objectives": {**held["objectives"], **wanted["objectives"]}}
    if odd := differences(now, both):
        raise RequestError(
            f"{out} holds another evaluation ({'; '.join(odd)}): choose another folder with --out"
        )
    treefile.replace(path, (json.dumps(now, indent=2) + "\n").encode())
    return Store(out / "returns.csv")


def _fingerprint(contestant: Contestant) -> str:
    """Return a hash of all numbers of an objective, and of its structure."""
    import hashlib

    import jax
    import numpy as np

    digest = hashlib.sha256(str(jax.tree.structure(contestant.objective)).encode())
    for leaf in jax.tree.leaves(contestant.objective):
        digest.update(np.asarray(leaf, np.float32).tobytes())
    return digest.hexdigest()[:16]
