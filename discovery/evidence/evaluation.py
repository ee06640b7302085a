"""An evaluation in a folder: what was asked, every return as it comes, the table in the end."""

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np

from discovery.config import Config
from discovery.evidence import stage
from discovery.evidence.contest import all_measures, evaluate
from discovery.evidence.returns import Store
from discovery.evidence.table import Table
from discovery.host.processes import all_devices, machine
from discovery.host.stopping import Interrupted, asked_to_stop
from discovery.search import situation, streams, user_file
from discovery.search.cohort import BOTH
from discovery.search.situation import earned
from discovery.search.streams import Purpose
from mpo import treefile
from mpo.claim import Claim, differences
from mpo.errors import RequestError
from mpo.log import Say
from mpo.objectives import OBJECTIVES, Objective
from mpo.train import Algorithm
from mpo.versions import versions

PACKAGES = ("preference-discovery", "jax", "jaxlib", "optax", "brax", "numpy")
ASKED, RETURNS, RESULTS = "evaluation.json", "returns.csv", "results.json"
"""Files of the folder: what was asked, every return, and the table with what made it."""
_MOVED = {"mpo.objectives.reference_free.SFT": "mpo.objectives.likelihood.SFT"}
"""Classes that have moved, and where they were when the first fingerprints were taken."""
MADE_WITH = "made with"
"""Of what was asked: the packages and devices of the first returns."""


@dataclass(frozen=True)
class Evaluation:
    """A request to evaluate algorithms.

    Attributes:
      config: the description whose task, data, training and seed are used.
      contestants: the algorithms that are compared, by name.
      seeds: agents trained by each algorithm.
      episodes: that measure each agent.
      command: the command line that asked, for the record.
      notes: where the settings of some of them are from, such as "tuned", by name.
      action: what agents do when they are measured: "sampled", "mean", or "both" where they can.
    """

    config: Config
    contestants: Mapping[str, Algorithm]
    seeds: int
    episodes: int
    command: str | None
    notes: Mapping[str, str] = field(default_factory=dict)
    action: str = BOTH

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
    request = wanted(asked)
    if out is not None and claim(out).read() is None:
        request |= {MADE_WITH: _here()}
    with nullcontext() if out is None else claim(out).held(request):
        return _run(asked, out, say)


def _run(asked: Evaluation, out: Path | None, say: Say) -> Table:
    store = Store() if out is None else Store(out / RETURNS)
    if out is not None and (changed := differences(_here(), _made_with(out) or _here())):
        say(
            "what is added to this evaluation is made with other packages or devices than what "
            f"it has, so that pairs of seeds may differ by more than the loss: {'; '.join(changed)}"
        )
    seeds = range(asked.seeds)
    needed = all_measures(situation.task_of(asked.config), asked.action)
    known = all(store.has(name, seed, needed) for name in asked.contestants for seed in seeds)
    before = earlier(asked, out) if known and out is not None else None
    if not known:
        _train(asked, store, out, say)
    usual = {name: "default" if name in OBJECTIVES else "" for name in asked.contestants}
    notes = {**usual, **asked.notes}  # one that was found brings its own settings
    levels = _levels(asked.config) if before is None else before.levels
    table = Table.stored(store, [*asked.contestants], seeds, levels, notes)
    if out is not None and (before is None or table.as_json() != before.as_json()):
        _write(asked, table, out, made_of(asked) if before is None else _told(out).get("data"))
    return table


def earlier(asked: Evaluation, out: Path) -> Table | None:
    """Return the table in `out`, if it is of what is asked; nothing is trained or written."""
    held = claim(out).read()
    if held is None or not (out / RESULTS).exists() or claim(out).changes(wanted(asked), held):
        return None
    return read_table(out)


def read_table(out: Path) -> Table:
    """Return the table in a folder."""
    path = out / RESULTS
    try:
        return Table.from_json(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise RequestError(f"{path} is damaged or missing: {error!r}") from error


def command(out: Path) -> str:
    """Return the command that made the table in a folder."""
    return _told(out).get("command") or ""


def devices(out: Path) -> str:
    """Return the devices that made the table in a folder; empty, if it does not say."""
    return _told(out).get("devices") or ""


def _train(asked: Evaluation, store: Store, out: Path | None, say: Say) -> None:
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
        evaluate(
            asked.contestants,
            stage.prepare(asked.config, Purpose.EVALUATION, all_devices()),
            streams.key(Purpose.EVALUATION, asked.config.seed),
            range(asked.seeds),
            asked.episodes,
            store,
            told,
            asked.action,
        )


def made_of(asked: Evaluation) -> list[dict[str, Any]]:
    """Return what each dataset is that agents train on, as `situation.described` says."""
    purpose = Purpose.EVALUATION
    return [situation.described(asked.config, one, purpose) for one in asked.config.data]


def _told(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / RESULTS).read_text())
    return found


def _write(
    asked: Evaluation, table: Table, out: Path, made: Sequence[dict[str, Any]] | None
) -> None:
    begun = stage.described(asked.config)
    content = {
        "command": asked.command,
        **_made_with(out),
        **({"stage": begun} if begun else {}),
        **({"data": made} if made else {}),
        **table.as_json(),
    }
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


def claim(out: Path) -> Claim:
    """Return whose a folder is: further objectives may join those it has."""
    return Claim(out, ASKED, "evaluation", growing=("objectives",), noted=(MADE_WITH,))


def _here() -> dict[str, Any]:
    return {"versions": versions(*PACKAGES), "devices": machine()}


def _made_with(out: Path) -> dict[str, Any]:
    """Return the packages and devices of the first returns in a folder; empty, if none are said."""
    found: dict[str, Any] = (claim(out).read() or {}).get(MADE_WITH, {})
    return found


def _fingerprint(objective: Objective) -> str:
    """Return a hash of all numbers of an objective, and of its structure."""
    structure = str(jax.tree.structure(objective))
    for now, then in _MOVED.items():
        structure = structure.replace(f"'{now}'", f"'{then}'")
    leaves = [np.asarray(leaf, np.float32) for leaf in jax.tree.leaves(objective)]
    return treefile.digest([structure, *leaves])[:16]
