"""What stands above an exported formula: where it comes from, what it takes, and the proof."""

import dataclasses
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from llm_transfer.snippets.dialect import LOWEST, Dialect
from llm_transfer.snippets.parity import HIGHEST, Parity
from mpo.artifact import Provenance
from mpo.expressions import Expression
from mpo.versions import versions

_INDENT = " " * 13


@dataclass(frozen=True)
class Origin:
    """Where an exported objective comes from.

    Attributes:
      words: how it was named.
      provenance: of a discovered objective.
      oracle: what a snippet of it is compared with.
    """

    words: str
    provenance: Provenance | None = None
    oracle: str = "the objective in JAX"

    def __str__(self) -> str:
        """Return it as a line."""
        if self.provenance is None:
            return self.words
        p = self.provenance
        known = {
            "task": p.task, "seed": p.seed, "generations": p.generations, "created": p.created,
            "commit": p.commit,
        }  # fmt: skip
        notes = ", ".join(f"{name} {value}" for name, value in known.items() if value is not None)
        return f"{self.words} ({notes})" if notes else self.words


@dataclass(frozen=True)
class Notes:
    """What is known of an exported formula beside itself.

    Attributes:
      origin: where it comes from.
      parity: how its program compared with its objective.
      dialect: what that ran in.
    """

    origin: Origin
    parity: tuple[Parity, ...]
    dialect: Dialect

    def as_json(self) -> dict[str, Any]:
        """Return them for a program to read."""
        return {
            "from": str(self.origin),
            "parity": {
                "of": f"the formula in {self.dialect.name}",
                "with": self.origin.oracle,
                "results": [dataclasses.asdict(one) for one in self.parity],
            },
            "versions": _versions(self.dialect),
        }


def header(expression: Expression, notes: Notes, *, program: bool) -> str:
    """Return what there is to know about an exported formula, in lines without a comment sign.

    Args:
      expression: the formula.
      notes: what is known of it.
      program: whether it stands above a program, which is what was run.
    """
    title = f"{expression.name}: {expression.summary}\n\n"
    return title + facts(_facts(expression, notes, program))


def facts(named: Iterable[tuple[str, str]]) -> str:
    """Return titles and what stands beside them, in lines that are not too long."""
    lines: list[str] = []
    for title, words in named:
        indent = f"{title:{len(_INDENT)}}"
        lines += textwrap.wrap(words, 96, initial_indent=indent, subsequent_indent=_INDENT)
    return "\n".join(lines)


def commented(text: str, sign: str) -> str:
    """Return `text` with a comment sign before every line."""
    return "\n".join(f"{sign} {line}".rstrip() for line in text.splitlines())


def _facts(expression: Expression, notes: Notes, program: bool) -> Iterator[tuple[str, str]]:
    own = versions("preference-discovery").get("preference-discovery", "")
    yield "from", f"{notes.origin}, by preference-discovery {own}".rstrip()
    if expression.length_normalise:
        yield "log π", "summed over the tokens of a response; the loss divides by their number"
    else:
        yield "log π", "summed over the tokens of a response, and used as a sum"
    reference = "log-probabilities under the reference policy are needed"
    yield "reference", reference if expression.reference else "none is needed"
    if expression.temporal:
        yield "progress", "the loss changes as training goes on"
    whole = "per token" if expression.length_normalise else "of a response"
    domain = f"log π {whole} from {LOWEST:,.0f} to {HIGHEST:g} (a density)"
    if beyond := max(one.beyond for one in notes.parity):
        domain += f"; of the points tried there, {beyond} are too far out for this formula"
    yield "domain", domain
    if program:
        yield (
            "not finite",
            f"log π of -inf is read as {LOWEST:,.0f}, without gradient; NaN and +inf give NaN, for "
            "that pair alone",
        )
        double = "float64 for float64, float32 for all else"
        yield "precision", double if notes.dialect.double else "float32"
    installed = ", ".join(f"{name} {version}" for name, version in _versions(notes.dialect).items())
    yield (
        "parity",
        f"of this {'text' if program else 'formula'}, run in {notes.dialect.name}, with "
        f"{notes.origin.oracle}, at {notes.parity[0].points} points (random ones over the domain, "
        f"and where branches meet); {installed}:",
    )
    for one in notes.parity:
        yield "", _result(one)
    if not notes.dialect.gradients:
        yield "", f"gradients are not compared: {notes.dialect.name} has none"


def _versions(dialect: Dialect) -> dict[str, str]:
    return versions(*dict.fromkeys((dialect.package, "jax")))


def _result(parity: Parity) -> str:
    line = f"{parity.precision}: values to {parity.value:.1e}"
    if parity.gradient is not None:
        line += f", gradients to {parity.gradient:.1e}"
    if parity.ill:
        line += f" ({parity.ill} points, where rounding the inputs does more, left out)"
    return line
