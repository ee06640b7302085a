"""Whether a dataset is of a task: sizes and kinds of what was seen and done, and the vocabulary."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envs.base import Response, Task
from envs.data.archive import DatasetError
from envs.data.dataset import Dataset
from mpo.errors import RequestError


def check_fit(dataset: Dataset, task: Task, path: str | Path) -> None:
    """Refuse a dataset, of the file at `path`, that the agents of `task` cannot be trained on.

    Raises:
      DatasetError: what the policy is to see or to do is of another size or kind than in the
        task, a response has more tokens than the task has, or a token or an action is none of
        those that there are.
    """
    response = response_shapes(task)
    per_step = jnp.issubdtype(response.inputs.dtype, jnp.floating)
    seen = "observations" if per_step else "contexts"
    done = "actions" if jnp.issubdtype(response.outputs.dtype, jnp.floating) else "tokens"
    pairs: tuple[tuple[str, Any, Any, int, int], ...] = (
        (seen, dataset.inputs, response.inputs, 3 if per_step else 2, 1 if per_step else 0),
        (done, dataset.outputs, response.outputs, 3, 1),
    )
    for what, stored, like, lead, own in pairs:
        found, expected = stored.shape[lead:], like.shape[own:]
        if (stored.dtype.kind == "f") != jnp.issubdtype(like.dtype, jnp.floating):
            kind = "floats" if stored.dtype.kind == "f" else "integers"
            raise _misfit(path, task, f"it has {kind} where the task has {what}")
        if found != expected:
            raise _misfit(
                path, task, f"its {what} are of shape {[*found]}, those of the task {[*expected]}"
            )
    if done == "tokens":
        _check_tokens(dataset, task, path, response.outputs.shape[0])


def _check_tokens(dataset: Dataset, task: Task, path: str | Path, most: int) -> None:
    if dataset.steps > most:
        what = f"its responses have up to {dataset.steps} tokens, those of the task {most}"
        raise _misfit(path, task, what)
    known = choices(task)
    if known is None:
        return
    integers = [a for a in (dataset.inputs, dataset.outputs) if a.dtype.kind != "f"]
    highest = max(int(np.max(values)) for values in integers)
    if highest >= known:
        tokens = hasattr(task.policy, "vocabulary")
        have = "a vocabulary of" if tokens else "actions below"
        what = "token" if tokens else "action"
        raise _misfit(path, task, f"it has the {what} {highest}, and the task {have} {known}")


def choices(task: Task) -> int | None:
    """Return how many tokens or actions a response chooses from; `None` where it has numbers."""
    policy = task.policy
    found: int | None = getattr(policy, "vocabulary", getattr(policy, "actions", None))
    return found


@lru_cache(maxsize=16)
def response_shapes(task: Task) -> Response:
    """Return shapes and dtypes of a response; nothing is simulated."""

    def respond(key: Any) -> Response:
        return task.respond(task.policy.init(key), task.start(key), key)

    shapes: Response = jax.eval_shape(respond, jax.random.key(0))
    return shapes


def check_steps(
    seen: np.ndarray, done: np.ndarray, task: Task, shapes: Response, what: str
) -> None:
    """Refuse what was seen and done, step after step, if it is not of the task.

    Args:
      seen: observations, [steps, …].
      done: actions, [steps, …].
      task: what they are to be of.
      shapes: its `response_shapes`.
      what: they are of, which messages begin with.

    Raises:
      RequestError: a size or a kind is not the task's, or a number is not finite.
    """
    pairs = (("observations", seen, shapes.inputs), ("actions", done, shapes.outputs))
    for name, found, like in pairs:
        if found.ndim != like.ndim or found.shape[1:] != like.shape[1:]:
            raise RequestError(
                f"{what}: {name} are of shape {[*found.shape]}: they must be "
                f"[{', '.join(('steps', *map(str, like.shape[1:])))}], as in task {task.name!r}"
            )
        if found.dtype.kind == "f" and not jnp.issubdtype(like.dtype, jnp.floating):
            raise RequestError(
                f"{what}: {name} are {found.dtype}: they must be integers, as in task {task.name!r}"
            )
        if found.dtype.kind == "f" and not np.all(np.isfinite(found)):
            raise RequestError(f"{what}: {name} have a number that is not finite")
    known = None if jnp.issubdtype(shapes.outputs.dtype, jnp.floating) else choices(task)
    if known is not None and (wrong := done[(done < 0) | (done >= known)]).size:
        raise RequestError(
            f"{what}: actions have {int(wrong[0])}: task {task.name!r} has 0 to {known - 1}"
        )


def padded(rows: Sequence[Sequence[np.ndarray]], steps: int, dtype: Any) -> np.ndarray:
    """Return arrays [steps of each, …] as one, [rows, K, steps, …], with zeros behind."""
    whole = np.zeros((len(rows), len(rows[0]), steps, *rows[0][0].shape[1:]), dtype)
    for row, sides in zip(whole, rows, strict=True):
        for place, values in zip(row, sides, strict=True):
            place[: len(values)] = values
    return whole


def _misfit(path: str | Path, task: Task, what: str) -> DatasetError:
    return DatasetError(f"{path} does not fit task {task.name!r}: {what}")
