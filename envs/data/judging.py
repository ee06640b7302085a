"""Who ranks: a judge of the true returns, or of what a function of yours says of each response.

The function is one of a response, as `training.regime.grader` has it: (inputs, outputs, mask) to a
number, in JAX. It is given by its place, "FILE.py:FUNCTION", and is imported only by who asks for
data to be judged by it: a dataset that was judged names it, with a hash of its file.
"""

import dataclasses
import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from envs.base import Task
from envs.data.dataset import Dataset, assembled
from envs.data.origin import Origin
from envs.data.validate import reordered
from envs.judge import Grading, Judge, temperature
from mpo import modules
from mpo.errors import RequestError

_AT_ONCE = 256  # rows


@dataclass(frozen=True)
class Ranker:
    """Who ranks responses.

    Attributes:
      judge: its temperature, in units of what it goes by, and its flips.
      grading: which function it goes by; `None` for the true returns.
      grade: that function.
    """

    judge: Judge
    grading: Grading | None = None
    grade: Callable[..., Any] | None = None


def ranker(
    task: Task | None, named: str | None, usual: str, eta: float | None, flip: float
) -> Ranker:
    """Return who ranks, as a request says it.

    Args:
      task: whose returns a level is calibrated at.
      named: a level of `envs.judge.LEVELS`; or the place of a function, "FILE.py:FUNCTION".
      usual: the level that is meant where nothing is said.
      eta: the temperature itself, in place of a level; of a function, which is never wrong
        otherwise.
      flip: share of the rankings that are reversed.

    Raises:
      RequestError: there is no such level or function, or the task has no returns to go by.
    """
    if named is not None and ":" in named:
        grading, grade = _function(named)
        return Ranker(Judge(eta, flip), grading, grade)
    return Ranker(Judge(_temperature(task, named, usual, eta), flip))


def _function(place: str) -> tuple[Grading, Callable[..., Any]]:
    found = modules.function(place, "judge")
    where, _, name = place.rpartition(":")
    whole = Path(where) if where.endswith(".py") else _file(found)
    digest = hashlib.sha256(whole.read_bytes()).hexdigest() if whole else ""
    return Grading(f"{Path(where).name}:{name}", digest), found


def _file(function: Callable[..., Any]) -> Path | None:
    of = sys.modules.get(getattr(function, "__module__", ""))
    found = getattr(of, "__file__", None)
    return Path(found) if found else None


def _temperature(
    task: Task | None, asked: str | None, usual: str, eta: float | None
) -> float | None:
    if eta is not None:
        if asked is not None:
            raise RequestError("judge and temperature were both given: give one of them")
        return eta
    level = asked or usual
    apart = None if task is None else task.defaults.apart
    if level != "perfect" and apart is None:
        of = "what is of no task" if task is None else f"task {task.name!r}"
        raise RequestError(
            f"{of} has no returns to calibrate the judge {level!r} by: give a temperature, in "
            "units of return, or the judge 'perfect'"
        )
    return temperature(level, *(apart or ()))


@partial(jax.jit, static_argnums=0)
def graded(
    grade: Callable[..., Any], inputs: Array, outputs: Array, length: Int[Array, "N K"]
) -> Float[Array, "N K"]:
    """Return what a function says of each of the responses, [N, K].

    Raises:
      RequestError: it fails, or returns no number.
    """
    mask = jnp.arange(outputs.shape[2])[None, None] < length[..., None]
    name = getattr(grade, "__name__", "the function")
    try:
        found = jax.vmap(jax.vmap(grade))(inputs, outputs, mask)
    except RequestError:
        raise
    except Exception as error:
        first = str(error).split("\n", 1)[0]
        raise RequestError(f"judge {name} fails: {type(error).__name__}: {first}") from error
    if jnp.shape(found) != length.shape:
        shape = jax.tree.map(lambda values: [*jnp.shape(values)[2:]], found)
        raise RequestError(f"judge {name} returns {shape} for a response: it must be a number")
    return jnp.asarray(found, jnp.float32)


def check_finite(grades: Any, grading: Grading) -> None:
    """Refuse grades of rows, [N, K], that are no numbers."""
    wrong = ~np.isfinite(np.asarray(grades))
    if wrong.any():
        row, place = (int(i) for i in np.argwhere(wrong)[0])
        raise RequestError(
            f"judge {grading.place} says {np.asarray(grades)[row, place]} of a response: it must "
            "be finite"
        )


def judged(dataset: Dataset, ranker: Ranker, seed: int) -> Dataset:
    """Return a dataset whose rows are ranked anew; its origin says by whom.

    Raises:
      RequestError: it has neither true returns nor a function to go by.
    """
    returns = _returns(dataset, ranker)
    keys = jax.random.split(jax.random.key(seed), len(dataset))
    order = np.asarray(jax.vmap(ranker.judge.rank)(keys, jnp.asarray(returns)))
    moved = {
        name: values if name.startswith("start.") else reordered(values, order)
        for name, values in dataset.arrays().items()
    }
    origin = dataset.about.origin or Origin("arrays", "arrays", {"rows": len(dataset)})
    origin = dataclasses.replace(origin, judge=ranker.judge, grading=ranker.grading, seed=seed)
    return assembled(moved, dataclasses.replace(dataset.about, origin=origin))


def _returns(dataset: Dataset, ranker: Ranker) -> np.ndarray:
    if ranker.grade is None:
        if dataset.reward is None:
            raise RequestError(
                "there are no true returns to be judged by: give them (chosen_reward and "
                "rejected_reward), or a function, --judge FILE.py:FUNCTION"
            )
        return dataset.reward
    parts = []
    for first in range(0, len(dataset), _AT_ONCE):
        rows = slice(first, first + _AT_ONCE)
        fields = (dataset.inputs[rows], dataset.outputs[rows], dataset.length[rows])
        parts.append(np.asarray(graded(ranker.grade, *map(jnp.asarray, fields))))
    found = np.concatenate(parts)
    assert ranker.grading is not None
    check_finite(found, ranker.grading)
    return found
