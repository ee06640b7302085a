"""What a loss is worth beside the hand-made ones, in a folder that goes on where it was.

Every return is kept as it comes in `told.jsonl`; the record that others can cite is `judged.json`.
A score is the mean share of the expert's return over the sealed situations; an agent that failed
has earned nothing. Draws of the data are the unit: agents of all losses share draws, first
weights, minibatches and episodes, so that differences are paired.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float

import mpo
from discovery.evidence import statistics
from discovery.evidence.returns import BY_MEAN, RETURN
from discovery.evidence.statistics import Estimate
from discovery.host.stopping import asked_to_stop
from discovery.judging import child
from discovery.judging.child import PASSED, Limits
from discovery.judging.sealed import SealedSet
from discovery.judging.trial import EXPERT, MEASURED, NAME, SAID, TUNED
from mpo import treefile
from mpo.claim import Claim
from mpo.errors import RequestError
from mpo.log import JsonLog, Say, strict
from mpo.versions import versions

RECORD, LOG, REQUEST = "judged.json", "told.jsonl", "judge.json"
_FORMAT: Final = 1
_PACKAGES: Final = ("jax", "jaxlib", "optax", "brax", "mujoco", "numpy", "preference-discovery")
_UNITS: Final = ("datasets", "agents")

Values = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """A loss of the table.

    Attributes:
      name: of the loss.
      reads: the optional fields of a comparison that it reads.
      score: mean share of the expert's return, with an interval over draws.
      shares: in each situation, by its name.
      by_mean: the score of the same agents by their mean action; `None` where they have none.
      gap: how much more the loss that is judged has; `None` for that itself.
    """

    name: str
    reads: tuple[str, ...]
    score: Estimate
    shares: Mapping[str, float]
    by_mean: float | None
    gap: Estimate | None


def judge(
    loss: str,
    sealed: SealedSet,
    out: Path,
    limits: Limits,
    say: Say,
    plugins: Sequence[str] = (),
    command: str | None = None,
) -> Values:
    """Judge a loss, and return the record, which is then in the folder.

    Args:
      loss: a file ending in .py that holds it, or a name that `mpo.objective` takes.
      sealed: the set it is judged by.
      out: a folder; what is done in it already is not done again.
      limits: that its process is held to.
      say: is told what goes on.
      plugins: modules that the process imports first (`discovery.plugins`).
      command: that asked for it, for the record.

    Raises:
      Interrupted: the process was asked to stop.
      RequestError: the loss was refused, or the folder is another's.
    """
    claim, log = Claim(out, REQUEST, "judgement"), JsonLog(out / LOG)
    asked = {"loss": source(loss), "sealed": sealed.as_json()}
    claim.check(asked)
    done = _done(log)
    request = {
        "loss": loss,
        "sealed": sealed.as_json(),
        "plugins": [*plugins],
        "done": done | {MEASURED: [*done[MEASURED]]},
    }
    with ExitStack() as held:
        stop = held.enter_context(asked_to_stop())
        if {*done[MEASURED]} == {*sealed.situations}:
            held.enter_context(claim.held(asked))
        else:
            for event in child.events(request, limits, stop):
                if PASSED in event:  # until then nothing is written
                    held.enter_context(claim.held(asked))
                if SAID in event:
                    say(event[SAID])
                else:
                    log.add(event)
        record: Values = strict(_record(loss, sealed, _done(log), command))
        text = json.dumps(record, indent=1, allow_nan=False) + "\n"
        treefile.replace(out / RECORD, text.encode())
    return record


def standing(sealed: SealedSet) -> dict[str, Values]:
    """Return what hand-made losses earned on a set, by name; empty where none was measured."""
    file = resources.files("discovery.judging").joinpath(f"{sealed.task}.json")
    held = json.loads(file.read_text()) if file.is_file() else {}
    found: dict[str, Values] = held["losses"] if held.get("sealed") == sealed.digest else {}
    return found


def rows(record: Values, others: Mapping[str, Values]) -> list[Row]:
    """Return the table, best first: the loss that was judged, and others of the same set."""
    own = record["loss"]["name"]
    every = {own: _entry(record), **{name: one for name, one in others.items() if name != own}}
    judged = _draws(every[own])
    found = []
    for name, one in every.items():
        values = _draws(one)
        by_mean = all(BY_MEAN in cell for cell in one["situations"].values())
        found.append(
            Row(
                name,
                tuple(one["reads"]),
                statistics.estimate(values, _UNITS),
                {place: float(_shares(cell).mean()) for place, cell in one["situations"].items()},
                float(_draws(one, BY_MEAN).mean()) if by_mean else None,
                None if name == own else statistics.estimate(judged - values, _UNITS),
            )
        )
    return sorted(found, key=lambda row: -row.score.mean)


def _done(log: JsonLog) -> Values:
    """Return what was told of a loss: `passed`, `tuned`, and `measured` by situation."""
    found: Values = {MEASURED: {}}
    for line in log.lines():
        if MEASURED in line:
            found[MEASURED][line[MEASURED][NAME]] = line[MEASURED]
        else:
            found |= line
    return found


def _record(loss: str, sealed: SealedSet, done: Values, command: str | None) -> Values:
    tuned = {name: value for name, value in done[TUNED].items() if name != "trials"}
    situations = {
        name: {key: value for key, value in done[MEASURED][name].items() if key != NAME}
        for name in sealed.situations
    }
    record: Values = {
        "format": _FORMAT,
        "loss": {**source(loss), **done[PASSED]},
        "sealed": {"version": sealed.version, "sha256": sealed.digest, **sealed.as_json()},
        TUNED: tuned,
        "situations": situations,
        "versions": versions(*_PACKAGES),
        "command": command,
    }
    table = rows(record, standing(sealed))
    place = next(at for at, row in enumerate(table, 1) if row.gap is None)
    return record | {
        "score": dataclasses.asdict(table[place - 1].score),
        "rank": place,
        "of": len(table),
        "beside": {
            row.name: {
                "score": dataclasses.asdict(row.score),
                "judged has more by": dataclasses.asdict(row.gap),
            }
            for row in table
            if row.gap is not None
        },
    }


def _entry(record: Values) -> Values:
    """Return what is kept of a loss that others are compared with."""
    settings = {name: record[TUNED][name] for name in ("settings", "learning_rate")}
    return {
        "reads": list(record["loss"]["reads"]),
        TUNED: settings,
        "situations": record["situations"],
    }


def kept(records: Mapping[str, Values], sealed: SealedSet) -> str:
    """Return the file of losses that others are compared with, as `standing` reads it."""
    losses = {name: _entry(record) for name, record in records.items()}
    head = {"sealed": sealed.digest, "versions": versions(*_PACKAGES)}
    lines = [f"{json.dumps(name)}: {json.dumps(strict(one))}" for name, one in losses.items()]
    return json.dumps(head)[:-1] + ', "losses": {\n' + ",\n".join(lines) + "\n}}\n"


def _draws(one: Values, measure: str = RETURN) -> Float[np.ndarray, "draws agents"]:
    """Return the mean share of the expert's return over situations, of every draw and agent."""
    return np.mean([_shares(cell, measure) for cell in one["situations"].values()], axis=0)


def _shares(cell: Values, measure: str = RETURN) -> Float[np.ndarray, "draws agents"]:
    return np.nan_to_num(np.array(cell[measure], float)) / cell[EXPERT]


def source(loss: str) -> dict[str, str]:
    """Return what a loss is known by: its file's name and hash, or its name.

    Raises:
      RequestError: there is no such file, or no such loss.
    """
    if not loss.endswith(".py"):
        mpo.find(loss)
        return {"name": loss}
    try:
        content = Path(loss).read_bytes()
    except OSError as error:
        raise RequestError(f"{loss} cannot be read: {error.strerror}") from error
    return {"file": Path(loss).name, "sha256": hashlib.sha256(content).hexdigest()}


def folder(loss: str) -> str:
    """Return what the folder of a loss is called: another one for every version of its file."""
    told = source(loss)
    name = told.get("name", told.get("file", "")).removesuffix(".py").replace("/", "-")
    return f"{name}-{told['sha256'][:8]}" if "sha256" in told else name
