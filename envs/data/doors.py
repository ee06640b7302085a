"""One door for what others wrote: arrays, tables of pairs, and trajectories, by what a file is."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from envs import registry
from envs.base import Task
from envs.data import own, pairs, segments
from envs.data.dataset import Dataset
from envs.data.judging import judged, ranker
from envs.data.origin import Origin
from envs.data.tables import is_table, table
from envs.data.trajectories import is_trajectories, trajectories
from mpo.errors import RequestError

FORMS = (
    "arrays (.npz), lines of JSON (.jsonl), parquet (.parquet), the folder of a Hugging Face "
    "dataset, or of Minari, and trajectories (.hdf5, .h5, .npz)"
)
"""What can be imported."""


def from_file(
    path: str | Path,
    task: str | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    split: str | None = None,
    steps: int | None = None,
    rows: int | None = None,
    judge: str | None = None,
    temperature: float | None = None,
    flip: float | None = None,
    seed: int = 0,
    vocabulary: int | None = None,
    **settings: Any,
) -> Dataset:
    """Return a dataset of what a file or folder holds, whichever of `FORMS` it is.

    Rankings are those of the source; where a judge is given, and of trajectories in any case, the
    judge's, who goes by true returns, or by a function of yours.

    Args:
      path: the file or folder.
      task: name of the task it is of; only arrays may be of none.
      columns: names of columns or arrays by what they hold, where they have other names than
        `envs.data.pairs` and `envs.data.trajectories` know.
      split: of a Hugging Face dataset.
      steps: of segments that trajectories are cut into; by default they are whole.
      rows: pairs of them; by default half as many as there are segments.
      judge: a level, or the place of a function, "FILE.py:FUNCTION", that says what a response is
        worth.
      temperature: of the judge, in units of what it goes by.
      flip: share of the judge's rankings that are reversed.
      seed: of the judge, and of who is compared with whom.
      vocabulary: number of tokens there are, of arrays.
      **settings: of the task, such as `horizon`.

    Raises:
      RequestError: it is none of these, is not of the task, or holds what cannot be.
    """
    path, made = Path(path), None if task is None else registry.task(task, **settings)
    if made is None and settings:
        raise RequestError(f"{', '.join(settings)}: say of which task, --task")
    if not path.exists():
        raise RequestError(f"{path}: no such file or folder")
    asked = (judge, temperature, flip) != (None, None, None)
    if is_trajectories(path):
        _refuse(path, "trajectories", split=split, vocabulary=vocabulary)
        if steps is not None and judge is not None and ":" not in judge and judge != "perfect":
            raise RequestError(
                f"the judge {judge!r} is calibrated at whole responses: give a temperature in "
                f"units of what {steps} steps earn"
            )
        whole = trajectories(path, columns)
        ranks = ranker(made, judge, "perfect", temperature, flip or 0.0)
        return segments.from_trajectories(
            whole, _needed(made, path), steps=steps, rows=rows, ranker=ranks, seed=seed
        )
    _refuse(path, "comparisons", steps=steps, rows=rows)
    if is_table(path):
        _refuse(path, "pairs of a task", vocabulary=vocabulary)
        dataset = pairs.from_table(table(path, split), _needed(made, path), columns)
    elif path.suffix == ".npz":
        _refuse(path, "arrays", columns=columns or None, split=split)
        dataset = own.from_npz(path, task=task, vocabulary=vocabulary)
        origin = Origin(path.name, "arrays", {"rows": len(dataset)})
        about = dataclasses.replace(dataset.about, origin=origin)
        dataset = dataclasses.replace(dataset, about=about)
    else:
        raise RequestError(f"{path} is none of what can be imported: {FORMS}")
    if not asked:
        return dataset
    return judged(dataset, ranker(made, judge, "perfect", temperature, flip or 0.0), seed)


def _needed(task: Task | None, path: Path) -> Task:
    if task is None:
        raise RequestError(f"{path}: say which task it is of, --task: see `discovery list`")
    return task


def _refuse(path: Path, what: str, **given: Any) -> None:
    for name, value in given.items():
        if value is not None:
            raise RequestError(f"{path} holds {what}: leave out {name}={value!r}")
