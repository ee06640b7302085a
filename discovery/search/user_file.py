"""A user's file as the data of a run: what it must fit, and which of its comparisons are for what.

Generated data have another draw for each purpose; a file is one. So its comparisons are divided,
at random and the same way every time: what is chosen (by a search, a selection or a tuning) is
chosen on agents that train on one part, and evaluated by agents that train on the other, the
held-out part. With nothing held out, evaluation is on the same comparisons with other seeds,
which says less: a loss may be good on these comparisons alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

import envs
from discovery.config import Data
from discovery.search.streams import Purpose
from envs import data
from envs.data import Dataset
from mpo.errors import RequestError


def check(request: Data, task: envs.Task) -> None:
    """Refuse a file that is not what it was, does not fit the task, or cannot be divided so."""
    dataset = _opened(request, task, verify=False)
    _held_out(request, len(dataset))


def part(request: Data, task: envs.Task, purpose: Purpose) -> Dataset:
    """Return the comparisons of the file that are for a purpose.

    Raises:
      RequestError: see `check`; or the file is damaged.
    """
    dataset = _opened(request, task, verify=True)
    count = _held_out(request, len(dataset))
    if count == 0:
        return dataset
    order = np.asarray(jax.random.permutation(jax.random.key(request.seed), len(dataset)))
    chosen = order[:count] if purpose is Purpose.EVALUATION else order[count:]
    return dataset[np.sort(chosen)]


def ground(tables: Sequence[Mapping[str, Any]], other: str, same: str) -> str:
    """Say what evaluation trains on, given a run's data as plain JSON values.

    Args:
      tables: a table for each dataset.
      other: what to say of data that are generated anew.
      same: what else trains on a file of which nothing is held out, and a verb.
    """
    return " and ".join(dict.fromkeys(_ground(table, other, same) for table in tables)) or other


def _ground(table: Mapping[str, Any], other: str, same: str) -> str:
    path, share = table.get("path"), table.get("held_out")
    if path is None:
        return other
    if share:
        return f"{100 * share:.4g} % of the comparisons in {path}, held out for this,"
    return f"the same comparisons in {path} as {same} (a weaker claim, as none is held out)"


def origin(request: Data) -> dict[str, Any]:
    """Return where the data are from, as plain JSON values for a provenance."""
    return {"kind": "own", **request.as_json()}


def _opened(request: Data, task: envs.Task, verify: bool) -> Dataset:
    assert request.path is not None
    dataset = data.load(request.path, task=task.name, verify=verify)
    if request.sha256 not in (None, data.contents(request.path).sha256):
        raise RequestError(
            f"{request.path} holds other comparisons than it did when this was described: bring "
            "the file back, or begin anew with a description of the present one"
        )
    data.check_fit(dataset, task, request.path)
    return dataset


def _held_out(request: Data, rows: int) -> int:
    """Return how many comparisons are held out, of so many."""
    share = request.held_out or 0.0
    count = round(share * rows)
    if share and not 0 < count < rows:
        raise RequestError(
            f"data.held_out = {share:g} of the {rows} comparisons in {request.path} leaves none "
            "on one side: choose another share, or 0 to use all of them for everything"
        )
    return count
