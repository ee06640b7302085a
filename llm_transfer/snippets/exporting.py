"""Objectives as text to take along: PyTorch, JAX, NumPy, MLX, LaTeX, JSON, and for trainers.

What is given was proven before.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import mpo
from llm_transfer.snippets.dialect import JAX, MLX, NUMPY, TORCH, Dialect
from llm_transfer.snippets.function import execute, function
from llm_transfer.snippets.header import Notes, Origin, commented, header
from llm_transfer.snippets.latex import latex
from llm_transfer.snippets.parity import Parity, prove
from llm_transfer.snippets.recipes import RECIPES, Recipe
from mpo.artifact.places import is_place
from mpo.errors import RequestError, unknown
from mpo.expressions import Expression, Named, expression, from_json, look_up, to_json
from mpo.objectives import OBJECTIVES, Objective


@dataclass(frozen=True)
class Exported:
    """An objective as text, and how that compares with the objective.

    Attributes:
      text: what goes into a file.
      formula: the formula that the text prints.
      parity: the proof, in each precision.
    """

    text: str
    formula: Expression
    parity: tuple[Parity, ...]


@dataclass(frozen=True)
class Target:
    """What an objective can be exported to.

    Attributes:
      dialect: what the proof runs in.
      write: the text, from the formula, its program in `dialect`, and notes.
      read: the formula that a reader of the text gets.
    """

    dialect: Dialect
    write: Callable[[Expression, str, Notes], str]
    read: Callable[[Expression], Expression] = lambda formula: formula


def _program(formula: Expression, program: str, notes: Notes) -> str:
    return f"{commented(header(formula, notes, program=True), '#')}\n\n{program}"


def _with_recipe(recipe: Recipe, formula: Expression, program: str, notes: Notes) -> str:
    about = header(formula, notes, program=True).replace("of this text, run", "of `loss`, run")
    above = commented(about, "#")
    return f"{above}\n{recipe.notes(formula)}\n\n{recipe.write(formula, program)}"


def _latex(formula: Expression, program: str, notes: Notes) -> str:
    return f"{commented(header(formula, notes, program=False), '%')}\n{latex(formula)}\n"


def _json(formula: Expression, program: str, notes: Notes) -> str:
    return to_json(formula, notes.as_json())


TARGETS: Final = {
    "torch": Target(TORCH, _program),
    "jax": Target(JAX, _program),
    "numpy": Target(NUMPY, _program),
    "mlx": Target(MLX, _program),
    "latex": Target(JAX, _latex),
    "json": Target(JAX, _json, read=lambda formula: from_json(to_json(formula))),
    **{name: Target(TORCH, partial(_with_recipe, recipe)) for name, recipe in RECIPES.items()},
}


def export(objective: Named, to: str = "torch", **settings: object) -> str:
    """Return an objective as text: a function to paste, LaTeX, JSON, or a file for a trainer.

    >>> print(export("dpo", to="latex", beta=0.5).splitlines()[-2])
    \\beta &= 0.5

    Args:
      objective: an objective, its formula, or what `mpo.objective` takes: a name, a run, a
        file; or the file of a formula in JSON.
      to: a key of `TARGETS`.
      settings: of the objective, where it is named.

    Raises:
      ParityError: the text does not compute the objective, so it is not given.
      RequestError: the objective, a setting or `to` is unknown, or there is no formula; or
        PyTorch is asked for and not installed.
    """
    return exported(objective, to, **settings).text


def exported(objective: Named, to: str = "torch", **settings: object) -> Exported:
    """Return what `export` does, with its proof."""
    if to not in TARGETS:
        raise unknown("language of an export", to, TARGETS)
    target = TARGETS[to]
    source = look_up(objective, **settings)
    formula = source if isinstance(source, Expression) else expression(source)
    program = function(target.read(formula), target.dialect)
    try:
        parity = prove(execute(program), target.dialect.name, source)
    except ModuleNotFoundError as missing:
        of_extra = "'preference-discovery[llm]'" if missing.name == "torch" else missing.name
        raise RequestError(
            f"to export to {to} is to run what is printed, which needs {missing.name}: "
            f"pip install {of_extra}"
        ) from missing
    notes = Notes(_origin(objective, source, settings), parity, target.dialect)
    return Exported(target.write(formula, program, notes), formula, parity)


def _origin(objective: Named, source: Objective | Expression, settings: dict[str, Any]) -> Origin:
    """Return how the objective was named, and what is known of it."""
    if isinstance(source, Expression):
        named = "" if isinstance(objective, Expression) else f" in {objective}"
        return Origin(f"the formula of {source.name}{named}", oracle="the same formula in JAX")
    if isinstance(objective, Objective | Expression):
        return Origin(f"an objective of kind {type(source).__name__}")
    arguments = [repr(str(objective)), *(f"{name}={value!r}" for name, value in settings.items())]
    words = f"mpo.objective({', '.join(arguments)})"
    if objective in OBJECTIVES or not is_place(objective):
        return Origin(words)
    return Origin(words, mpo.load(objective).provenance)
