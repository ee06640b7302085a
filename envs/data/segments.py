"""Pairs of episodes, or of segments of them, ranked by what they earned: a dataset of a task."""

from collections import Counter
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np

from envs.base import Response, Task
from envs.data.dataset import Dataset
from envs.data.fit import check_steps, padded, response_shapes
from envs.data.judging import Ranker, judged
from envs.data.origin import Origin
from envs.data.own import from_arrays
from envs.data.trajectories import Episode, Trajectories
from envs.judge import Judge
from mpo.errors import RequestError

RIGHT = Ranker(Judge(None))
"""A judge that is never wrong about returns."""


@dataclass
class _Cut:
    """What was read, and what is left of it."""

    observations: list[np.ndarray] = field(default_factory=list)
    actions: list[np.ndarray] = field(default_factory=list)
    returns: list[float] = field(default_factory=list)
    read: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)


def from_trajectories(
    found: Trajectories,
    task: Task,
    *,
    steps: int | None = None,
    rows: int | None = None,
    ranker: Ranker = RIGHT,
    seed: int = 0,
) -> Dataset:
    """Return pairs of episodes, or segments, each ranked by a judge, as a dataset of a task.

    Who is compared with whom is drawn: all are put in a random order and paired off, an odd one
    being left over, again and again until there are enough pairs; two may meet again.

    Args:
      found: the episodes.
      task: what they are of, which says what is seen and done, and how long a response may be.
      steps: of the segments that episodes are cut into from their start on, what is left over being
        left out; by default they are whole, and those that did not come to their end are left out.
      rows: pairs; by default half as many as there are segments.
      ranker: who ranks: by default a judge of returns who is never wrong.
      seed: of who is compared with whom, and of the judge.

    Raises:
      RequestError: what was recorded is not of this task, or there are no two to be compared.
    """
    shapes = response_shapes(task)
    if not jnp.issubdtype(shapes.inputs.dtype, jnp.floating):
        raise RequestError(f"{found.path} has trajectories, and task {task.name!r} texts of tokens")
    most = shapes.outputs.shape[0]
    if steps is not None and not 1 <= steps <= most:
        raise RequestError(f"segments must have 1 to {most:,} steps, as the task has, not {steps}")
    cut = _cut(found, task, shapes, steps, most)
    count = len(cut.returns)
    what = "episodes" if steps is None else "segments"
    if count < 2:
        told = ", ".join(f"{number:,} {why}" for why, number in cut.dropped.items())
        raise RequestError(
            f"{found.path}: {count} {what} cannot be compared"
            + (f"; left out: {told}" * bool(told))
        )
    pairs = _paired(count, rows, what, seed)
    length = np.array([len(done) for done in cut.actions], np.int32)[pairs]
    room = int(length.max())
    dataset = from_arrays(
        padded([[cut.observations[i] for i in pair] for pair in pairs], room, np.float32),
        padded([[cut.actions[i] for i in pair] for pair in pairs], room, shapes.outputs.dtype),
        length=length,
        reward=np.array(cut.returns, np.float32)[pairs],
        task=task.name,
        origin=Origin(found.path.name, found.form, dict(cut.read), dict(cut.dropped)),
    )
    return judged(dataset, ranker, seed)


def _cut(found: Trajectories, task: Task, shapes: Response, steps: int | None, most: int) -> _Cut:
    cut = _Cut()
    for episode in found.episodes(task.horizon):
        cut.read["episodes"] += 1
        cut.read["steps"] += len(episode.actions)
        seen = episode.observations[: len(episode.actions)]
        check_steps(seen, episode.actions, task, shapes, f"{found.path}, {episode.name}")
        if steps is None and (why := _unfit(episode, most)):
            cut.dropped[why] += 1
            continue
        size = len(episode.actions) if steps is None else steps
        whole = len(episode.actions) - len(episode.actions) % max(size, 1)
        for first in range(0, whole, size):
            part = slice(first, first + size)
            cut.observations.append(seen[part])
            cut.actions.append(episode.actions[part])
            cut.returns.append(float(np.sum(episode.rewards[part], dtype=np.float64)))
            cut.read["whole episodes" if steps is None else "segments"] += 1
        if left := len(episode.actions) - whole:
            cut.dropped[f"steps, of ends shorter than {size}"] += left
    return cut


def _unfit(episode: Episode, most: int) -> str:
    if not len(episode.actions):
        return "empty"
    if len(episode.actions) > most:
        return f"of more than {most:,} steps"
    return "" if episode.ended else "that did not come to an end"


def _paired(count: int, rows: int | None, what: str, seed: int) -> np.ndarray:
    """Return who is compared with whom, [rows, 2]."""
    per_round, possible = count // 2, count * (count - 1) // 2
    if rows is not None and not 1 <= rows <= possible:
        raise RequestError(
            f"rows must be 1 to {possible:,}, as many pairs as {count:,} {what} have, not {rows}"
        )
    wanted = per_round if rows is None else rows
    root = jax.random.key(seed)
    rounds = [
        np.asarray(jax.random.permutation(jax.random.fold_in(root, number), count))
        for number in range(-(-wanted // per_round))
    ]
    return np.concatenate([one[: 2 * per_round].reshape(-1, 2) for one in rounds])[:wanted]
