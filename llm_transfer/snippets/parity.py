"""The proof that goes with a snippet: its text, executed, against the objective it was made from.

Values and both gradients are compared at every point of `points`, in double and in single
precision. An error is relative where a number is above one in size, absolute below.

Some points are ill-conditioned: a margin of two log-probabilities of -10,000 is lost in
single precision, whoever computes it. They show themselves: moving the *inputs* of the
objective by a unit in the last place moves its own result by more than the tolerance. There,
a snippet is held to a few times that movement instead, and the points are counted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from llm_transfer.expressions import Expression, expression, in_double
from llm_transfer.snippets import evaluation
from llm_transfer.snippets.dialect import JAX
from llm_transfer.snippets.evaluation import Evaluated
from llm_transfer.snippets.function import function
from llm_transfer.snippets.loading import execute
from llm_transfer.snippets.points import Points, points
from mpo.objectives import Objective

Oracle = Callable[[Points, type[np.floating]], Evaluated]

TOLERANCE: Final[dict[type[np.floating], float]] = {np.float64: 1e-12, np.float32: 1e-5}
EVALUATE: Final[dict[str, Callable[..., Evaluated]]] = {
    "torch": evaluation.of_torch,
    "jax": evaluation.of_jax,
}
_MOVES, _MULTIPLE = 8, 16.0  # how often inputs are moved; what multiple of it is allowed
_LEAST_SHARE = 0.5  # of the points must be comparable, for a comparison to prove anything


class ParityError(RuntimeError):
    """A snippet does not compute its objective."""


@dataclass(frozen=True)
class Parity:
    """How a snippet compares with its objective in one precision.

    Attributes:
      precision: name of the dtype.
      value, gradient: largest error at the well-conditioned points.
      points: how many there are in all.
      ill: how many of them are ill-conditioned.
      beyond: how many of them have a loss or a gradient that is not finite in the objective.
    """

    precision: str
    value: float
    gradient: float
    points: int
    ill: int
    beyond: int


def prove(
    loss: Callable[..., Any], language: str, objective: Objective | Expression
) -> tuple[Parity, ...]:
    """Return how `loss` compares with `objective` in each precision.

    Args:
      loss: the executed snippet.
      language: a key of `EVALUATE`.
      objective: what it was made from; a formula that came without one is run in JAX.

    Raises:
      ParityError: an error is above the tolerance.
    """
    formula = objective if isinstance(objective, Expression) else expression(objective)
    at, oracle = points(formula), _oracle(objective)
    return tuple(
        _compare(
            EVALUATE[language](loss, at, dtype),
            *_with_movement(oracle, at, dtype),
            dtype,
            f"the {language} snippet of {formula.name!r}",
        )
        for dtype in TOLERANCE
    )


def _oracle(objective: Objective | Expression) -> Oracle:
    if isinstance(objective, Expression):
        return partial(evaluation.of_jax, execute(function(objective, JAX)))
    return partial(evaluation.of_objective, in_double(objective))


def _with_movement(
    oracle: Oracle, at: Points, dtype: type[np.floating]
) -> tuple[np.ndarray, np.ndarray]:
    """Return values and gradients, shape [N, 3], and how far a unit in the last place moves them.

    Two computations that both work in `dtype` can't be expected to agree any better.
    """
    rng = np.random.default_rng(0)
    exact = {name: values.astype(dtype) for name, values in at.items()}
    inputs = [exact]
    for _ in range(_MOVES):
        nudged = {
            name: np.nextafter(values, rng.choice([-np.inf, np.inf], values.shape), dtype=dtype)
            for name, values in exact.items()
        }
        inputs.append({**nudged, **{n: v for n, v in exact.items() if n == "progress"}})
    many = {name: np.concatenate([one[name] for one in inputs]) for name in exact}
    found = _columns(oracle(many, dtype))
    here, *moved = np.split(found, len(inputs))
    with np.errstate(invalid="ignore"):
        return here, np.max(np.abs(np.stack(moved) - here), axis=0)


def _compare(
    found: Evaluated,
    expected: np.ndarray,
    movement: np.ndarray,
    dtype: type[np.floating],
    what: str,
) -> Parity:
    tolerance = TOLERANCE[dtype]
    finite = np.all(np.isfinite(expected), axis=1)
    scale = np.maximum(1, np.abs(expected))
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs(_columns(found) - expected) / scale
        noise = _MULTIPLE * movement / scale
    bad = ~(error <= tolerance)  # NaN too
    excused = bad & (error <= noise) & (noise > tolerance)
    wrong = (bad & ~excused).any(axis=1) & finite
    name = np.dtype(dtype).name
    if wrong.any():
        worst = float(np.max(np.where(wrong[:, None], np.nan_to_num(error, nan=np.inf), 0)))
        raise ParityError(
            f"{what} does not compute its objective in {name}: it is off by {worst:.1e} where "
            f"{tolerance:g} is allowed, at {wrong.sum()} of {len(wrong)} points"
        )
    compared = finite & ~excused.any(axis=1)
    if compared.mean() < _LEAST_SHARE:
        raise ParityError(
            f"{what} cannot be compared with its objective in {name}: {len(finite)} points were "
            f"tried, and the objective is finite and well-conditioned at {compared.sum()} of them"
        )
    largest = np.max(error[compared], axis=0)
    return Parity(
        precision=name,
        value=float(largest[0]),
        gradient=float(largest[1:].max()),
        points=len(finite),
        ill=int((finite & excused.any(axis=1)).sum()),
        beyond=int((~finite).sum()),
    )


def _columns(found: Evaluated) -> np.ndarray:
    return np.concatenate([found.values[:, None], found.gradients], axis=1)
