"""An evaluation in a folder: what was asked, every return as it comes, the table in the end."""

import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from discovery.config import Config
from discovery.config.reading import differences
from discovery.evidence.contest import evaluate
from discovery.evidence.returns import Returns, Store
from discovery.evidence.table import Table
from discovery.host.locked import LOCK, locked
from discovery.host.processes import all_devices, machine
from discovery.host.stopping import Interrupted, asked_to_stop
from discovery.search import situation, streams, user_file
from discovery.search.situation import earned
from discovery.search.streams import Purpose
from mpo import treefile
from mpo.errors import RequestError, place_to_write
from mpo.objectives import OBJECTIVES, Objective
from mpo.train import Algorithm
from mpo.versions import versions

Say = Callable[[str], None]

PACKAGES = ("preference-discovery", "jax", "jaxlib", "optax", "brax", "numpy")
ASKED, RETURNS, RESULTS = "evaluation.json", "returns.csv", "results.json"
"""Files of the folder: what was asked, every return, and the table with what made it."""
_MOVED = {"mpo.objectives.reference_free.SFT": "mpo.objectives.likelihood.SFT"}
"""Classes that have moved, and where they were when the first fingerprints were taken."""
MADE_WITH = "made with"
"""Of what was asked: the packages and devices of the first returns."""


@dataclass(frozen=True)
class Evaluation:
    """What is asked.

    Attributes:
      config: whose task, data and training are meant.
      contestants: algorithms by name.
      seeds: agents for each.
      episodes: that measure each agent.
      command: that asked, for the record.
      notes: where the settings of some of them are from, such as "tuned", by name.
    """

    config: Config
    contestants: Mapping[str, Algorithm]
    seeds: int
    episodes: int
    command: str | None
    notes: Mapping[str, str] = field(default_factory=dict)

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
      RequestError: the folder holds an evaluation of something else, or is no evaluation's, or
        another process is at work in it.
      Interrupted: the process was asked to stop (Ctrl-C, SIGTERM); whole chunks are kept.
    """
    _refuse_other(asked, out)
    with nullcontext() if out is None else locked(out):
        return _run(asked, out, say)


def _run(asked: Evaluation, out: Path | None, say: Say) -> Table:
    store = Store() if out is None else _claimed(asked, out, say)
    seeds = range(asked.seeds)
    known = all((name, seed) in store for name in asked.contestants for seed in seeds)
    before = earlier(asked, out) if known and out is not None else None
    returns = store.returns(asked.contestants, seeds) if known else _trained(asked, store, out, say)
    usual = {name: "default" if name in OBJECTIVES else "" for name in asked.contestants}
    notes = {**usual, **asked.notes}  # one that was found brings its own settings
    table = Table.of(returns, _levels(asked.config) if before is None else before.levels, notes)
    if out is not None and (before is None or table.as_json() != before.as_json()):
        _write(asked, table, out)
    return table


def earlier(asked: Evaluation, out: Path) -> Table | None:
    """Return the table in `out`, if it is of what is asked; nothing is trained or written."""
    if not (out / ASKED).exists() or not (out / RESULTS).exists():
        return None
    held = held_evaluation(out)
    changed = differences(*_both(wanted(asked), _comparable(held)))
    return None if changed else read_table(out)


def read_table(out: Path) -> Table:
    """Return the table in a folder."""
    path = out / RESULTS
    try:
        return Table.from_json(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise RequestError(f"{path} is damaged or missing: {error!r}") from error


def command(out: Path) -> str:
    """Return the command that made the table in a folder."""
    return json.loads((out / RESULTS).read_text()).get("command") or ""


def devices(out: Path) -> str:
    """Return the devices that made the table in a folder; empty, if it does not say."""
    return json.loads((out / RESULTS).read_text()).get("devices") or ""


def _trained(asked: Evaluation, store: Store, out: Path | None, say: Say) -> Returns:
    """Train and measure the agents that `store` does not have."""
    kept = "nothing was kept, as no --out was given" if out is None else "the same command goes on"
    with asked_to_stop() as stop:

        def told(name: str, done: int, seeds: int) -> None:
            if stop():
                raise Interrupted(f"stopped at {name}, seed {done} of {seeds}; {kept}")
            say(f"{name}: {done} of {seeds} seeds done")

        say("preparing the data")
        if any(one.path for one in asked.config.data):
            tables = [one.as_json() for one in asked.config.data]
            ground = user_file.ground(tables, "a draw of the data", "discoveries and tunings do")
            say(f"agents train on {ground}")
        return evaluate(
            asked.contestants,
            situation.prepare(asked.config, Purpose.EVALUATION, all_devices()),
            streams.key(Purpose.EVALUATION, asked.config.seed),
            range(asked.seeds),
            asked.episodes,
            store,
            told=told,
        )


def _write(asked: Evaluation, table: Table, out: Path) -> None:
    made = held_evaluation(out).get(MADE_WITH, {})
    content = {"command": asked.command, **made, **table.as_json()}
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    treefile.replace(out / RESULTS, text.encode())
    treefile.replace(out / "table.md", (table.markdown() + "\n").encode())


def _levels(config: Config) -> dict[str, float]:
    """Return what the agents that made the data earn, by name."""
    own = earned(config, Purpose.EVALUATION)
    return {f"{name}, in the data": value for name, value in own.items()}


def wanted(asked: Evaluation) -> dict[str, Any]:
    """Return what decides every return, as JSON has it: the situation, and each objective."""
    objectives = {
        name: {
            "learning_rate": float(one.descent.learning_rate) if name in asked.notes else None,
            "settings": _fingerprint(one.objective),
        }
        for name, one in asked.contestants.items()
    }
    plain: dict[str, Any] = json.loads(json.dumps({**asked.as_json(), "objectives": objectives}))
    return plain


def _both(now: dict[str, Any], held: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the two with the objectives of both, as either has those that it has."""
    return (
        {**now, "objectives": {**held["objectives"], **now["objectives"]}},
        {**held, "objectives": {**now["objectives"], **held["objectives"]}},
    )


def _refuse_other(asked: Evaluation, out: Path | None) -> None:
    """Refuse a folder that holds anything else; nothing is written."""
    if out is None:
        return
    if not (out / ASKED).exists():
        if out.is_dir() and any(p.name != LOCK for p in out.iterdir()):
            raise RequestError(
                f"{out} holds files that are no evaluation's: choose another folder with --out"
            )
        return
    if odd := differences(*_both(wanted(asked), _comparable(held_evaluation(out)))):
        raise RequestError(
            f"{out} holds another evaluation ({'; '.join(odd)}): choose another folder with --out"
        )


def _claimed(asked: Evaluation, out: Path, say: Say) -> Store:
    """Make the folder this evaluation's; more objectives or seeds may join those it has."""
    _refuse_other(asked, out)  # another process may have been first
    path, here = out / ASKED, {"versions": versions(*PACKAGES), "devices": machine()}
    held = held_evaluation(out) if path.exists() else {**wanted(asked), MADE_WITH: here}
    if changed := differences(here, held.get(MADE_WITH, here)):
        say(
            "what is added to this evaluation is made with other packages or devices than what "
            f"it has, so that pairs of seeds may differ by more than the loss: {'; '.join(changed)}"
        )
    store = Store(out / RETURNS)
    _, both = _both(wanted(asked), held)
    with place_to_write(out):
        treefile.replace(path, (json.dumps(both, indent=2) + "\n").encode())
    return store


def _comparable(held: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in held.items() if name != MADE_WITH}


def held_evaluation(out: Path) -> dict[str, Any]:
    """Return what was asked of the evaluation in a folder, its objectives by name."""
    path = out / ASKED
    try:
        held = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RequestError(f"{path} cannot be read: {error}") from error
    if not isinstance(held, dict) or not isinstance(held.get("objectives"), dict):
        raise RequestError(f"{path} is damaged: it does not say which objectives were evaluated")
    return held


def _fingerprint(objective: Objective) -> str:
    """Return a hash of all numbers of an objective, and of its structure."""
    import hashlib

    import jax
    import numpy as np

    structure = str(jax.tree.structure(objective))
    for now, then in _MOVED.items():
        structure = structure.replace(f"'{now}'", f"'{then}'")
    digest = hashlib.sha256(structure.encode())
    for leaf in jax.tree.leaves(objective):
        digest.update(np.asarray(leaf, np.float32).tobytes())
    return digest.hexdigest()[:16]
