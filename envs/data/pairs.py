"""Pairs from a table, one response chosen and one rejected in a row, as a dataset of a task."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import jax.numpy as jnp
import numpy as np

from envs.base import Task
from envs.data.dataset import Dataset
from envs.data.fit import check_steps, padded, response_shapes
from envs.data.origin import Origin
from envs.data.own import from_arrays
from envs.data.tables import Row, Table
from mpo.errors import RequestError, unknown

SIDES: Final = ("chosen", "rejected")

TOKENS: Final[Mapping[str, tuple[str, ...]]] = {
    "prompt": ("prompt", "prompt_ids"),
    **{side: (side, f"{side}_ids") for side in SIDES},
}
"""Columns of token ids by what they hold, and how they may be called (as TRL calls them, too)."""

STEPS: Final[Mapping[str, tuple[str, ...]]] = {
    f"{side}_{what}": tuple(f"{side}{dot}{name}" for dot in "_." for name in names)
    for side in SIDES
    for what, names in {
        "observations": ("observations", "states"),
        "actions": ("actions",),
    }.items()
}
"""Likewise of what was seen and done, step after step."""

REWARDS: Final[Mapping[str, tuple[str, ...]]] = {
    f"{side}_reward": (f"{side}_reward", f"{side}.reward") for side in SIDES
}
"""Likewise of true returns, which need not be there."""


class _Useless(Exception):
    """A row that cannot be trained on, and is left out: why."""


@dataclass(frozen=True)
class Pair:
    """What a row holds, of the chosen and of the rejected response."""

    inputs: tuple[np.ndarray, np.ndarray]
    outputs: tuple[np.ndarray, np.ndarray]
    reward: tuple[float, float] | None


def from_table(table: Table, task: Task, columns: Mapping[str, str] | None = None) -> Dataset:
    """Return the pairs of a table as a dataset of a task.

    A row is left out, and counted, where something in it is missing, one of its responses is empty
    or longer than those of the task, its prompt is of another length than the task's, or its two
    responses are the same.

    Args:
      table: its rows.
      task: what they are of, which says whether responses are tokens or steps, how long they may
        be, and the vocabulary.
      columns: names of columns by what they hold (`TOKENS`, `STEPS`, `REWARDS`), where they are
        not called that.

    Raises:
      RequestError: a column is missing, a value is not what it should be, or no row is left.
    """
    reader = _Reader(table, task, dict(columns or {}))
    kept, dropped, number = [], Counter[str](), 0
    for number, row in enumerate(table.rows([*reader.names.values()]), 1):
        try:
            kept.append(reader.pair(row))
        except _Useless as why:
            dropped[str(why)] += 1
        except RequestError as error:
            raise RequestError(f"{table.path}, row {number}: {error}") from error
    if not kept:
        told = ", ".join(f"{count:,} {why}" for why, count in dropped.items())
        raise RequestError(f"{table.path}: no row is left of {number:,}: {told}")
    origin = Origin(table.path.name, table.form, {"rows": number}, dict(dropped))
    return reader.dataset(kept, origin)


class _Reader:
    """Makes pairs of rows, as a task has its responses."""

    def __init__(self, table: Table, task: Task, columns: dict[str, str]) -> None:
        self.task = task
        self.shapes = response_shapes(task)
        self.steps = jnp.issubdtype(self.shapes.inputs.dtype, jnp.floating)
        self.vocabulary = None if self.steps else getattr(task.policy, "vocabulary", None)
        needed = STEPS if self.steps else TOKENS
        for role in columns:
            if role not in needed and role not in REWARDS:
                raise unknown("column of pairs", role, (*needed, *REWARDS))
        self.names = _found(table, needed, columns)
        given = [role for role in REWARDS if role in columns]
        if given or all({*names} & {*table.columns} for names in REWARDS.values()):
            self.names |= _found(table, REWARDS, columns)

    def pair(self, row: Row) -> Pair:
        """Return what a row holds.

        Raises:
          _Useless: it is to be left out.
          RequestError: it holds what cannot be.
        """
        values = {role: row.get(name) for role, name in self.names.items()}
        if missing := [role for role, value in values.items() if value is None]:
            raise _Useless(f"without {missing[0]}")
        read = self._steps if self.steps else self._tokens
        (seen, done), (other_seen, other_done) = (read(side, values) for side in SIDES)
        if np.array_equal(done, other_done) and np.array_equal(seen, other_seen):
            raise _Useless("with the same response twice")
        rewards = [_reward(role, values[role]) for role in REWARDS if role in values]
        reward = (rewards[0], rewards[1]) if rewards else None
        return Pair((seen, other_seen), (done, other_done), reward)

    def _tokens(self, side: str, values: Row) -> tuple[np.ndarray, np.ndarray]:
        prompt, tokens = (self._ids(role, values[role]) for role in ("prompt", side))
        self._check_length(tokens)
        size = int(np.prod(self.shapes.inputs.shape, dtype=int))
        if prompt.size != size:
            raise _Useless(f"with a prompt that is not of {size} token{'s' * (size > 1)}")
        return prompt.reshape(self.shapes.inputs.shape), tokens

    def _ids(self, role: str, value: Any) -> np.ndarray:
        ids = _array(role, value, "iu", "token ids")
        if ids.ndim > 1:
            raise RequestError(f"{role} is of shape {[*ids.shape]}: it must be a list of token ids")
        limit = np.inf if self.vocabulary is None else self.vocabulary
        if wrong := [int(one) for one in ids.reshape(-1) if not 0 <= one < limit]:
            raise RequestError(
                f"{role} has the token {wrong[0]}, and task {self.task.name!r} a vocabulary of "
                f"{self.vocabulary}"
            )
        return ids.reshape(-1)

    def _steps(self, side: str, values: Row) -> tuple[np.ndarray, np.ndarray]:
        seen, done = (
            _array(f"{side}_{what}", values[f"{side}_{what}"], "fiu", "numbers")
            for what in ("observations", "actions")
        )
        self._check_length(done)
        check_steps(seen, done, self.task, self.shapes, side)
        if len(seen) - len(done) not in (0, 1):
            raise RequestError(f"{side} has {len(seen)} observations and {len(done)} actions")
        return seen[: len(done)], done

    def _check_length(self, outputs: np.ndarray) -> None:
        most = self.shapes.outputs.shape[0]
        if not len(outputs):
            raise _Useless("with an empty response")
        if len(outputs) > most:
            raise _Useless(f"with a response of more than {most:,} steps")

    def dataset(self, kept: list[Pair], origin: Origin) -> Dataset:
        """Return pairs as a dataset, the responses padded to one length."""
        lengths = np.array([[len(one) for one in pair.outputs] for pair in kept], np.int32)
        # Policies of tokens may have a place for each; steps are padded no further than needed.
        steps = int(lengths.max()) if self.steps else self.shapes.outputs.shape[0]
        seen = [pair.inputs for pair in kept]
        rewards = [pair.reward for pair in kept if pair.reward is not None]
        return from_arrays(
            padded(seen, steps, np.float32) if self.steps else np.array(seen, np.int32),
            padded([pair.outputs for pair in kept], steps, self.shapes.outputs.dtype),
            length=lengths,
            reward=np.array(rewards) if rewards else None,
            vocabulary=self.vocabulary,
            task=self.task.name,
            origin=origin,
        )


def _found(
    table: Table, roles: Mapping[str, tuple[str, ...]], columns: Mapping[str, str]
) -> dict[str, str]:
    """Return the column of each role: the one that was named, or the first that is there."""
    found = {}
    for role, usual in roles.items():
        names = (columns[role],) if role in columns else usual
        there = [name for name in names if name in table.columns]
        if not there:
            raise RequestError(
                f"{table.path} has no column {names[0]!r}, only {', '.join(table.columns)}: say "
                f"which holds it, {role}=COLUMN"
            )
        found[role] = there[0]
    return found


def _array(role: str, value: Any, kinds: str, what: str) -> np.ndarray:
    try:
        found = np.asarray(value)
    except ValueError as error:
        raise RequestError(f"{role} is ragged: its rows must be of one length") from error
    if not found.size:
        return found.astype(np.int32)
    if found.dtype.kind in "UO":
        hint = ", such as those of tokenizer(text)['input_ids']" if what == "token ids" else ""
        raise RequestError(f"{role} is text or nested: it must be {what}{hint}")
    if found.dtype.kind not in kinds:
        raise RequestError(f"{role} is of {found.dtype}: it must be {what}")
    return found


def _reward(role: str, value: Any) -> float:
    """Return a true return: a number, or the sum of one for each step."""
    found = float(np.sum(_array(role, value, "fiu", "a number"), dtype=np.float64))
    if not np.isfinite(found):
        raise RequestError(f"{role} is {found}: it must be finite")
    return found
