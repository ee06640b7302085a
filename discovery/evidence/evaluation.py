"""An evaluation in a folder: what was asked, every return as it comes, the table in the end."""

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from discovery.config import Config
from discovery.evidence import authors, stage
from discovery.evidence.contest import CHUNK, all_measures, evaluate, measures
from discovery.evidence.returns import BY_MEAN, Store
from discovery.evidence.table import Table
from discovery.host.processes import all_devices, machine
from discovery.host.stopping import Interrupted, asked_to_stop
from discovery.search import regime, situation, streams, user_file
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
"""Files of the folder: what was asked, every return, and the table with what made it. Returns on
further draws of the data are beside, in files of their own (`stores`)."""
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
      draws: of the data, on each of which all agents are trained: that of the description, and
        those of the seeds after it.
    """

    config: Config
    contestants: Mapping[str, Algorithm]
    seeds: int
    episodes: int
    command: str | None
    notes: Mapping[str, str] = field(default_factory=dict)
    action: str = BOTH
    draws: int = 1

    def drawn(self) -> list[Config]:
        """Return the description with each draw of its data.

        Raises:
          RequestError: there is not one dataset that could be drawn several times.
        """
        if self.draws == 1:
            return [self.config]
        if self.draws < 1:
            raise RequestError(f"draws is {self.draws}: it must be at least 1")
        task = situation.task_of(self.config)
        if len(self.config.data) > 1:
            raise RequestError(
                f"the situation has {len(self.config.data)} datasets, over which a return is a "
                "mean: draws are of a situation with one"
            )
        (one,) = self.config.data
        if one.path is not None or not regime.needs_data(task, self.config.training):
            what = "there are no data" if one.path is None else f"the data are {one.path}"
            raise RequestError(f"{what}: only data that are generated can be drawn several times")
        return [
            replace(self.config, data=(replace(one, seed=one.seed + draw),))
            for draw in range(self.draws)
        ]

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
    asked.drawn()
    request = wanted(asked)
    if out is not None and claim(out).read() is None:
        request |= {MADE_WITH: _here()}
    with nullcontext() if out is None else claim(out).held(request):
        return _run(asked, out, say)


def _run(asked: Evaluation, out: Path | None, say: Say) -> Table:
    kept = stores(out, asked.draws)
    if out is not None and (changed := differences(_here(), _made_with(out) or _here())):
        say(
            "what is added to this evaluation is made with other packages or devices than what "
            f"it has, so that pairs of seeds may differ by more than the loss: {'; '.join(changed)}"
        )
    seeds = range(asked.seeds)
    needed = all_measures(situation.task_of(asked.config), asked.action)
    known = all(
        store.has(name, seed, needed)
        for store in kept
        for name in asked.contestants
        for seed in seeds
    )
    held = _held(asked, out) if known and out is not None else None
    by_mean = {} if held is None else dict(held.by_mean_levels)
    if not known:
        by_mean = authors.levels(_train(asked, kept, out, say))
    usual = {name: "default" if name in OBJECTIVES else "" for name in asked.contestants}
    notes = {**usual, **asked.notes}  # one that was found brings its own settings
    before = held if held is not None and held.draws == asked.draws else None
    levels = authors.levels(_earned(asked.drawn())) if before is None else before.levels
    table = Table.stored(kept, [*asked.contestants], seeds, levels, notes, by_mean)
    if out is not None and (before is None or table.as_json() != before.as_json()):
        _write(asked, table, out, made_of(asked) if before is None else _told(out).get("data"))
    return table


def stores(out: Path | None, draws: int) -> list[Store]:
    """Return what is measured already on each draw of the data, in memory or in a folder."""
    if out is None:
        return [Store() for _ in range(draws)]
    return [Store(out / (f"returns-{draw}.csv" if draw else RETURNS)) for draw in range(draws)]


def earlier(asked: Evaluation, out: Path) -> Table | None:
    """Return the table in `out`, if it is of what is asked; nothing is trained or written."""
    table = _held(asked, out)
    return table if table is not None and table.draws == asked.draws else None


def _held(asked: Evaluation, out: Path) -> Table | None:
    """Return the table in `out`, if it is of what is asked, on however many draws of the data."""
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


def _train(
    asked: Evaluation, stores: Sequence[Store], out: Path | None, say: Say
) -> dict[str, float]:
    """Train and measure the agents that the store of a draw of the data does not have.

    Returns:
      What the authors of the data earn by their mean action, by name; nothing where agents are
      not measured by it.
    """
    kept = "nothing was kept, as no --out was given" if out is None else "the same command goes on"
    with asked_to_stop() as stop:
        where = ""

        def told(name: str, done: int, seeds: int) -> None:
            if stop():
                raise Interrupted(f"stopped at {name}, seed {done} of {seeds}{where}; {kept}")
            say(f"{name}: {done} of {seeds} seeds done{where}")

        say("preparing the data")
        if any(one.path for one in asked.config.data):
            tables = [one.as_json() for one in asked.config.data]
            told_of = user_file.ground(tables, "a draw of the data", "discoveries and tunings do")
            say(f"agents train on {told_of}")
        for draw, (config, store) in enumerate(zip(asked.drawn(), stores, strict=True)):
            where = f" on draw {draw + 1} of {asked.draws}" if asked.draws > 1 else ""
            ground = stage.prepare(config, Purpose.EVALUATION, all_devices())
            evaluate(
                asked.contestants,
                ground,
                streams.key(Purpose.EVALUATION, asked.config.seed),
                range(asked.seeds),
                asked.episodes,
                store,
                told,
                asked.action,
            )
        names, size = _earned([asked.config]), min(CHUNK, asked.seeds)
        if BY_MEAN not in measures(ground.task, asked.action):
            return {}
        return authors.by_mean_action(asked.config, ground, names, asked.episodes, size)


def made_of(asked: Evaluation) -> list[dict[str, Any]]:
    """Return what each dataset is that agents train on, as `situation.described` says."""
    purpose, drawn = Purpose.EVALUATION, asked.drawn()
    return [situation.described(config, one, purpose) for config in drawn for one in config.data]


def _told(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / RESULTS).read_text())
    return found


def _write(
    asked: Evaluation, table: Table, out: Path, made: Sequence[dict[str, Any]] | None
) -> None:
    begun = [stage.described(config) for config in asked.drawn()]
    content = {
        "command": asked.command,
        **_made_with(out),
        **({"stage": begun[0]} if begun[0] else {}),
        **({"stages": begun} if begun[1:] and begun[0] else {}),
        **({"data": made} if made else {}),
        "resampled": table.resampled,
        **table.as_json(),
    }
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    treefile.replace(out / RESULTS, text.encode())
    treefile.replace(out / "table.md", (table.markdown() + "\n").encode())


def _earned(drawn: Sequence[Config]) -> dict[str, float]:
    """Return what the agents that made the data earn, by name; the mean over draws of the data."""
    each = [earned(config, Purpose.EVALUATION) for config in drawn]
    names = dict.fromkeys(name for own in each for name in own)
    found = {name: [own[name] for own in each if name in own] for name in names}
    return {name: float(np.mean(values)) for name, values in found.items()}


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
