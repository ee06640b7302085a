"""The front of closed forms: for each number of terms, the formula that comes nearest."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np

import mpo
from discovery.closed_form.point import PAPER, Point, Term
from discovery.closed_form.problem import Problem, Solution, Subset, mirror
from discovery.evidence import trajectory as recorded
from discovery.evidence.trajectory import Trajectory
from mpo.errors import RequestError, unknown
from mpo.objectives import MPO, Objective
from mpo.potentials import FUNCTIONS

LIBRARY: Final = tuple(FUNCTIONS)

_FULL: Final = 2  # up to so many terms every subset is tried
_WIDTH: Final = 8  # beyond, so many of each size are extended by every term
_SKETCH: Final = 768  # comparisons that subsets are compared on
_GAIN: Final = 0.95  # a longer formula must have less than this share of the error,
_EXACT: Final = 1e-3  # and there is none beyond this error, which three digits make


@dataclass(frozen=True, eq=False)
class Front:
    """Closed forms of an objective: each has less error than any that is shorter.

    Attributes:
      objective: what they stand for.
      points: the paper's form, which is always there, and the front from short to long.
      trajectory: where they were fitted.
      temporal: whether the objective changes with progress.
    """

    objective: MPO
    points: tuple[Point, ...]
    trajectory: Trajectory
    temporal: bool

    def __getitem__(self, name: str) -> Point:
        for point in self.points:
            if point.name == name:
                return point
        raise unknown("closed form", name, [point.name for point in self.points])

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        visited = self.trajectory.visited()
        return {
            "points": [point.as_json() for point in self.points],
            "comparisons": int(visited.chosen.size),
            "log_pi": {
                side: [float(v) for v in np.quantile(getattr(visited, side), (0.0, 0.5, 1.0))]
                for side in ("chosen", "rejected")
            },
        }


def fit(
    objective: Objective | str | PathLike[str],
    trajectory: Trajectory | None = None,
    *,
    terms: int = 4,
    library: Sequence[str] = LIBRARY,
) -> Front:
    """Return short formulas that pull and push as `objective` does where a training lives.

    Weights are non-negative and the functions increase, so ψ and φ⁻¹ do. For a temporally
    aware objective they are linear in progress. Up to two terms every choice is tried, and
    the best eight of each size are extended by every other term. λ is fitted with them, and
    weights have three significant digits.

    Args:
      objective: with potentials, as an objective, by name, or the folder of a run.
      trajectory: of a training under it (`discovery.evidence.trajectory.record`); by default
        the one that the run recorded.
      terms: of the longest formula, those of ψ and φ⁻¹ together.
      library: functions that formulas may use, names of `mpo.potentials.FUNCTIONS`.

    Raises:
      RequestError: there is no trajectory, or the objective has no potentials, or a function
        is unknown.
    """
    original = check(
        objective if isinstance(objective, Objective) else mpo.objective(objective), terms, library
    )
    where = trajectory if trajectory is not None else _own(objective)
    visited = where.visited()
    names = tuple(dict.fromkeys((*library, "log")))
    temporal = _temporal(original, visited)
    problem = Problem.of(original, visited, names, temporal=temporal)
    sketch = problem.every(-(-problem.points // _SKETCH))
    allowed = [i for i, name in enumerate(names) if name in library]
    allowed += [i + len(names) for i in allowed] if problem.lam > 0 else []
    log = names.index("log")
    paper = _rounded(problem, problem.solve((log, log + len(names))))
    front = _front(_rounded(problem, problem.solve(s)) for s in _best(sketch, allowed, terms))

    def point(name: str, solution: Solution) -> Point:
        found: dict[bool, list[Term]] = {True: [], False: []}
        for term, weights in zip(solution.subset, solution.weights.tolist(), strict=True):
            of_psi = term < len(names)
            found[of_psi].append(Term(names[term % len(names)], weights[0], weights[-1]))
        return Point(
            name,
            tuple(found[True]),
            tuple(found[False]),
            solution.lam,
            solution.error,
            original.length_normalise,
        )

    points = [point(f"closed_form_{len(one.subset)}", one) for one in front]
    return Front(original, (point(PAPER, paper), *points), where, temporal)


def check(objective: Objective, terms: int, library: Sequence[str] = LIBRARY) -> MPO:
    """Return what is to be fitted, or refuse what `fit` would refuse; nothing is computed."""
    for name in library:
        if name not in FUNCTIONS:
            raise unknown("function", name, FUNCTIONS)
    if terms < 1:
        raise RequestError(f"a formula of {terms} terms: it must have at least 1")
    return mirror(objective)


def _own(objective: object) -> Trajectory:
    """Return the trajectory that lies in the folder of a run."""
    if isinstance(objective, str | PathLike):
        path = Path(objective) / recorded.FILE
        if path.exists():
            return recorded.load(path)
    raise RequestError(
        "it is not known where training lives: give a trajectory "
        "(discovery.evidence.trajectory.record), or the folder of a run that recorded one"
    )


def _temporal(objective: MPO, visited: recorded.Visited) -> bool:
    """Whether the objective changes with progress, at the comparisons that were visited."""
    some = slice(None, None, -(-visited.chosen.size // 64))
    slopes = [
        Problem.of(
            objective,
            recorded.Visited(
                np.full_like(visited.progress[some], progress),
                visited.chosen[some],
                visited.rejected[some],
            ),
            ("log",),
            temporal=False,
        )
        for progress in (0.0, 1.0)
    ]
    first, last = (np.concatenate([one.pull, one.push]) for one in slopes)
    return not np.allclose(first, last, rtol=1e-6, atol=1e-12)


def _best(problem: Problem, allowed: Sequence[int], terms: int) -> Iterator[Subset]:
    """Yield the best subset of each size, until nothing is left to be gained."""
    found: list[Solution] = []
    for size in range(1, terms + 1):
        if size <= _FULL:
            wanted: Iterable[Subset] = itertools.combinations(allowed, size)
        else:
            wanted = _extended([one.subset for one in found[:_WIDTH]], allowed)
        found = sorted((problem.solve(subset) for subset in wanted), key=lambda one: one.error)
        if not found:
            return
        yield found[0].subset
        if found[0].error < _EXACT:
            return


def _extended(subsets: Iterable[Subset], allowed: Sequence[int]) -> list[Subset]:
    """Return the subsets with each of the terms that they lack."""
    pairs = itertools.product(subsets, allowed)
    return sorted({tuple(sorted((*subset, term))) for subset, term in pairs if term not in subset})


def _rounded(problem: Problem, solution: Solution) -> Solution:
    """Return a solution in three significant digits, and the error that it then has.

    An end of a weight that does not show in the other's three digits is zero.
    """
    least = 5e-4 * solution.weights.max(axis=-1, keepdims=True)
    shown = np.where(solution.weights < least, 0.0, solution.weights)
    weights = np.vectorize(_three, otypes=[float])(shown)
    lam = _three(solution.lam)
    error = problem.error(solution.subset, weights, lam)
    return Solution(solution.subset, weights, lam, error)


def _three(value: float) -> float:
    return float(f"{value:.3g}")


def _front(solutions: Iterable[Solution]) -> list[Solution]:
    """Return those worth their length."""
    kept: list[Solution] = []
    for one in sorted(solutions, key=lambda s: (len(s.subset), s.error)):
        if not kept or (kept[-1].error > _EXACT and one.error < _GAIN * kept[-1].error):
            kept.append(one)
    return kept
