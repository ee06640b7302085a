"""A closed form: weights of a few functions of x = π in ψ and in φ⁻¹, and λ."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import sympy
from sympy import Abs, exp, log, sign, sqrt

import mpo
from mpo.expressions.numbers import tidy
from mpo.objectives import Objective
from mpo.potentials import BasisPotential

PAPER: Final = "paper"
"""The name of the paper's closed form, α log π(y_w) + λ log σ(β Δ log π) (its Eq. 11)."""

X, T = sympy.Symbol("x", positive=True), sympy.Symbol("t", nonnegative=True)

READABLE: Final[Mapping[str, Callable[[sympy.Expr], sympy.Expr]]] = {
    "log": log,
    "logit": lambda x: log(x / (1 - x)),
    "x": lambda x: x,
    "sqrt": sqrt,
    "square": lambda x: x**2,
    "exp": exp,
    "log_sigmoid": lambda x: log(x / (1 + x)),
    "softplus": lambda x: log(1 + x),
    "sigmoid": lambda x: x / (1 + x),
    "signed_sqrt": lambda x: 2 * sign(log(x)) * (sqrt(1 + Abs(log(x))) - 1),
    "signed_log": lambda x: sign(log(x)) * log(1 + Abs(log(x))),
    "signed_square": lambda x: log(x) * Abs(log(x)) / 2,
}
"""The functions of `mpo.potentials.FUNCTIONS` in x, as they are for x < 1 - 1/1000."""


@dataclass(frozen=True)
class Term:
    """A function with its weight.

    Attributes:
      function: a name of `mpo.potentials.FUNCTIONS`.
      start, end: its weight at the start and at the end of training; linear in between.
    """

    function: str
    start: float
    end: float

    def formula(self) -> sympy.Expr:
        """Return it as a formula in x, and t for the progress of training."""
        change = float(Decimal(repr(self.end)) - Decimal(repr(self.start)))
        return (tidy(self.start) + tidy(change) * T) * READABLE[self.function](X)


@dataclass(frozen=True)
class Point:
    """A closed form, and how far it is from the objective it stands for.

    Attributes:
      name: of this closed form.
      psi, phi_inv: the terms of ψ and of φ⁻¹.
      lam: λ, the weight of the preference term.
      error: root mean square of the misfit of the loss's slopes, as a share of theirs.
      length_normalise: whether π is per step.
    """

    name: str
    psi: tuple[Term, ...]
    phi_inv: tuple[Term, ...]
    lam: float
    error: float
    length_normalise: bool

    @property
    def size(self) -> int:
        """The number of terms."""
        return len(self.psi) + len(self.phi_inv)

    def formula(self, which: str) -> sympy.Expr:
        """Return "psi" or "phi_inv" as a formula in x, and t for the progress of training."""
        terms: Sequence[Term] = getattr(self, which)
        return sympy.Add(*(term.formula() for term in terms), evaluate=False)

    def potential(self, which: str) -> BasisPotential:
        """Return "psi" or "phi_inv"."""
        terms: Sequence[Term] = getattr(self, which)
        library = tuple(term.function for term in terms) or ("log",)

        def at(end: str) -> BasisPotential:
            weights = {term.function: float(getattr(term, end)) for term in terms}
            return BasisPotential.of(weights, library=library)

        start = at("start")
        if all(term.start == term.end for term in terms):
            return start
        return dataclasses.replace(start, weight_end=at("end").weight)

    def objective(self) -> Objective:
        """Return the objective that it is: the paper's, where it has its form."""
        weights = [_only_log(terms) for terms in (self.psi, self.phi_inv)]
        common = {"lam": self.lam, "length_normalise": self.length_normalise}
        if None not in weights:
            alpha, beta = weights
            return mpo.objective("closed_form", alpha=alpha, beta=beta, **common)
        psi, phi_inv = self.potential("psi"), self.potential("phi_inv")
        return mpo.objective("mpo", psi=psi, phi_inv=phi_inv, **common)

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values, the formulas as text beside the weights."""
        formulas = {f"{name}_formula": str(self.formula(name)) for name in ("psi", "phi_inv")}
        return {"size": self.size, **dataclasses.asdict(self), **formulas}


def _only_log(terms: Sequence[Term]) -> float | None:
    """Return the weight of terms that are one constant times log x, or none at all."""
    if not terms:
        return 0.0
    (first, *others) = terms
    plain = first.function == "log" and first.start == first.end and not others
    return first.start if plain else None
