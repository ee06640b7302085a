"""The regression: which weights of a few increasing functions give an objective's gradient.

What a training feels of -ψ(π(y_w)) - λ log σ(φ⁻¹(π(y_w)) - φ⁻¹(π(y_l))) is its slope in
log π of each response,

    pull = ψ'(ℓ_w) + p φ⁻¹'(ℓ_w)   and   push = p φ⁻¹'(ℓ_l),   p = λ σ(-Δ φ⁻¹),

with ' for d/dℓ, ℓ = log π. So slopes are fitted, not values, whose constants nobody feels;
both potentials at once, since pull is a sum of the two; and at the comparisons that a training
visited, each as often as it did. The error of a fit is that of all these slopes, as a share
of their root mean square.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, singledispatch
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
import scipy  # its optimizers take half a second, and come with their first use
from jaxtyping import Array, Float

from discovery.evidence.trajectory import Visited
from mpo.errors import RequestError
from mpo.expressions import in_double
from mpo.objectives import MPO, ORPO, ClosedForm, Objective
from mpo.potentials import FUNCTIONS, BasisPotential, Log, Logit


@singledispatch
def mirror(objective: Objective) -> MPO:
    """Return `objective` as an `MPO`; another kind registers how it is one.

    Raises:
      RequestError: it is none that is known to be one.
    """
    raise RequestError(
        f"objective {objective.name!r} has no potentials ψ and φ⁻¹ to be written shorter: "
        "fit mpo, orpo, closed_form or what a run found; `discovery export` prints any of them"
    )


@mirror.register
def _(objective: MPO) -> MPO:
    return objective


@mirror.register
def _(objective: ORPO) -> MPO:
    return MPO(
        psi=Log(),
        phi_inv=Logit(),
        lam=objective.lam,
        length_normalise=objective.length_normalise,
    )


@mirror.register
def _(objective: ClosedForm) -> MPO:
    def log(weight: float) -> BasisPotential:
        return BasisPotential.of({"log": weight}, library=("log",))

    return MPO(
        psi=log(float(objective.alpha)),
        phi_inv=log(float(objective.beta)),
        lam=objective.lam,
        length_normalise=objective.length_normalise,
    )


_HOLD: Final = 1e-3
"""How strongly λ is held where it was: just enough to decide where nothing else does, as with
small margins, of which only the product of λ and φ⁻¹ is felt."""
_NOTHING: Final = 1e-3
"""A term whose slopes are below this share of the pull's is none."""

Subset = tuple[int, ...]  # terms in increasing order: those of ψ, then those of φ⁻¹
Values = Float[np.ndarray, "points"]
Unknowns = Float[np.ndarray, "unknowns"]  # weights of the columns, and log λ
Residuals = Float[np.ndarray, "residuals"]  # of pulls, of pushes, and what holds λ


@dataclass(frozen=True, eq=False)
class Solution:
    """The best weights of a subset of the terms.

    Attributes:
      subset: numbers of the terms that are fitted.
      weights: of each term; at the start and at the end of training, if they may differ.
      lam: λ, the weight of the preference term.
      error: root mean square of the misfit, as a share of that of the slopes.
    """

    subset: Subset
    weights: Float[np.ndarray, "terms ends"]
    lam: float
    error: float


@dataclass(frozen=True, eq=False)
class Problem:
    """An objective's slopes at visited comparisons, and those of the functions of a library.

    Attributes:
      pull, push: slopes of the objective, negative and positive.
      preference: p, the weight of each comparison in the slopes of φ⁻¹.
      lam: λ of the objective.
      chosen, rejected: slopes of each function at both responses. If weights may change, on
        the last axis times (1 - progress) and times progress.
      margin: value of each function at the chosen response less that at the rejected one.
    """

    pull: Values
    push: Values
    preference: Values
    lam: float
    chosen: Float[np.ndarray, "points functions ends"]
    rejected: Float[np.ndarray, "points functions ends"]
    margin: Float[np.ndarray, "points functions ends"]

    @classmethod
    def of(
        cls, objective: MPO, visited: Visited, library: Sequence[str], *, temporal: bool
    ) -> "Problem":
        """Return the regression of `objective` on the functions in `library`, in double precision.

        Args:
          objective: what is to be written shorter.
          visited: log-probabilities of the comparisons that trainings visited.
          library: names of `mpo.potentials.FUNCTIONS`.
          temporal: whether weights may change with progress.
        """
        exact = in_double(objective)
        assert isinstance(exact, MPO)
        t = np.asarray(visited.progress, np.float64)
        at = [np.asarray(logp, np.float64) for logp in (visited.chosen, visited.rejected)]
        psi = _graph(exact.psi, at[0], t)[1]
        (above, above_slope), (below, below_slope) = (_graph(exact.phi_inv, logp, t) for logp in at)
        lam = float(exact.lam)
        preference = lam * scipy.special.expit(below - above)
        ends = np.stack([1 - t, t], axis=-1) if temporal else np.ones((t.size, 1))
        graphs = [[_graph(_static(name), logp, t) for name in library] for logp in at]
        (high, slope), (low, other) = (np.moveaxis(np.array(g), 0, 2) for g in graphs)
        return cls(
            pull=psi + preference * above_slope,
            push=preference * below_slope,
            preference=preference,
            lam=lam,
            chosen=slope[..., None] * ends[:, None],
            rejected=other[..., None] * ends[:, None],
            margin=(high - low)[..., None] * ends[:, None],
        )

    def every(self, step: int) -> "Problem":
        """Return the regression at every `step`-th comparison."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        some: dict[str, Any] = {
            n: v[::step] for n, v in values.items() if isinstance(v, np.ndarray)
        }
        return dataclasses.replace(self, **some)

    @property
    def points(self) -> int:
        """How many comparisons there are."""
        return self.pull.size

    @property
    def functions(self) -> int:
        """How many functions there are; each is a term of ψ, and one of φ⁻¹."""
        return self.chosen.shape[1]

    @cached_property
    def scale(self) -> float:
        """The norm of all slopes."""
        return float(np.sqrt(np.sum(self.pull**2 + self.push**2)))

    def solve(self, subset: Subset) -> Solution:
        """Return the weights ≥ 0, and the λ, with the least error."""
        psi, phi, other, margin = self._columns(subset)
        fixed = np.block(
            [
                [psi, self.preference[:, None] * phi],
                [np.zeros((self.points, psi.shape[1])), self.preference[:, None] * other],
            ]
        )
        start, _ = scipy.optimize.nnls(fixed / self.scale, self._target)
        if phi.shape[1] == 0:
            return self._solution(subset, start, self.lam)

        def parts(theta: Unknowns) -> tuple[Values, Values, Values, Values, Values]:
            a, b = np.split(theta[:-1], [psi.shape[1]])
            delta = margin @ b
            p = self.lam * np.exp(theta[-1]) * scipy.special.expit(-delta)
            return psi @ a, p, phi @ b, other @ b, scipy.special.expit(delta)

        def residual(theta: Unknowns) -> Residuals:
            own, p, slope, opposite, _ = parts(theta)
            fitted = np.concatenate([own + p * slope, p * opposite]) / self.scale
            return np.append(fitted - self._target, _HOLD * theta[-1])

        def jacobian(theta: Unknowns) -> Float[np.ndarray, "residuals unknowns"]:
            _, p, slope, opposite, other_way = parts(theta)
            bend = (p * other_way)[:, None] * margin
            pull = np.hstack([psi, p[:, None] * phi - slope[:, None] * bend, (p * slope)[:, None]])
            push = np.hstack(
                [
                    np.zeros_like(psi),
                    p[:, None] * other - opposite[:, None] * bend,
                    (p * opposite)[:, None],
                ]
            )
            held = np.append(np.zeros(theta.size - 1), _HOLD)
            return np.vstack([np.vstack([pull, push]) / self.scale, held])

        bounds = (np.append(np.zeros(start.size), -np.inf), np.inf)
        found = scipy.optimize.least_squares(
            residual, np.append(start, 0.0), jacobian, bounds, x_scale="jac"
        )
        return self._solution(subset, found.x[:-1], self.lam * float(np.exp(found.x[-1])))

    def error(self, subset: Subset, weights: Float[np.ndarray, "terms ends"], lam: float) -> float:
        """Return the error of these weights and this λ."""
        psi, phi, other, margin = self._columns(subset)
        a, b = np.split(np.ravel(weights), [psi.shape[1]])
        p = lam * scipy.special.expit(-(margin @ b))
        fitted = np.concatenate([psi @ a + p * (phi @ b), p * (other @ b)]) / self.scale
        return float(np.linalg.norm(fitted - self._target))

    @cached_property
    def _target(self) -> Float[np.ndarray, "slopes"]:
        return np.concatenate([self.pull, self.push]) / self.scale

    def _solution(
        self, subset: Subset, weights: Float[np.ndarray, "columns"], lam: float
    ) -> Solution:
        """Return a solution without the terms that are as good as nothing."""
        each = weights.reshape(len(subset), -1)
        of_pull = np.mean(np.abs(self.pull))
        slopes = (self.chosen[:, term % self.functions] for term in subset)
        felt = [
            np.mean(slope @ own) > _NOTHING * of_pull
            for slope, own in zip(slopes, each, strict=True)
        ]
        kept = tuple(term for term, yes in zip(subset, felt, strict=True) if yes)
        lam = lam if any(term >= self.functions for term in kept) else self.lam  # or it is unfelt
        return Solution(kept, each[felt], lam, self.error(kept, each[felt], lam))

    def _columns(self, subset: Subset) -> tuple[np.ndarray, ...]:
        """Return the slopes of the terms of ψ; of those of φ⁻¹, the slopes and the margins."""
        psi = [term for term in subset if term < self.functions]
        phi = [term - self.functions for term in subset if term >= self.functions]
        parts = (
            self.chosen[:, psi], self.chosen[:, phi], self.rejected[:, phi], self.margin[:, phi]
        )  # fmt: skip
        return tuple(part.reshape(self.points, -1) for part in parts)


Graph = Callable[[Float[Array, ""], Float[Array, ""]], Float[Array, ""]]


def _static(name: str) -> Graph:
    return lambda log_x, progress: FUNCTIONS[name](log_x)


def _graph(function: Graph, log_x: Values, progress: Values) -> tuple[Values, Values]:
    """Return the values of a function of log x, and its slopes."""
    with jax.enable_x64(True):
        both = jax.jit(jax.vmap(jax.value_and_grad(function)))
        value, slope = both(jnp.asarray(log_x), jnp.asarray(progress))
        return np.asarray(value), np.asarray(slope)
