"""What stands above an exported formula: where it comes from, what it takes, and the proof."""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from llm_transfer.expressions import Expression
from llm_transfer.snippets.dialect import LOWEST
from llm_transfer.snippets.parity import Parity
from llm_transfer.snippets.points import HIGHEST
from mpo.artifact import Provenance
from mpo.versions import versions

_INDENT = " " * 13


@dataclass(frozen=True)
class Origin:
    """Where an exported objective comes from.

    Attributes:
      words: how it was named.
      provenance: of a discovered objective.
    """

    words: str
    provenance: Provenance | None = None

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


def header(
    expression: Expression, origin: Origin, parity: tuple[Parity, ...], packages: tuple[str, ...]
) -> str:
    """Return what there is to know about an exported formula, in lines without a comment sign."""
    lines = [f"{expression.name}: {expression.summary}", ""]
    for title, words in _facts(expression, origin, parity, packages):
        indent = f"{title:{len(_INDENT)}}"
        lines += textwrap.wrap(words, 96, initial_indent=indent, subsequent_indent=_INDENT)
    return "\n".join(lines)


def commented(text: str, sign: str) -> str:
    """Return `text` with a comment sign before every line."""
    return "\n".join(f"{sign} {line}".rstrip() for line in text.splitlines())


def _facts(
    expression: Expression, origin: Origin, parity: tuple[Parity, ...], packages: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    own = versions("preference-discovery").get("preference-discovery", "")
    yield "from", f"{origin}, by preference-discovery {own}".rstrip()
    if expression.length_normalise:
        yield "log π", "summed over the tokens of a response; the loss divides by their number"
    else:
        yield "log π", "summed over the tokens of a response, and used as a sum"
    reference = "log-probabilities under the reference policy are needed"
    yield "reference", reference if expression.reference else "none is needed"
    if expression.temporal:
        yield "progress", "the loss changes as training goes on"
    whole = "per token" if expression.length_normalise else "of a response"
    beyond = max((one.beyond for one in parity), default=0)
    finite = f"log π {whole} from {LOWEST:,.0f} to {HIGHEST:g} (a density)"
    if beyond:
        finite += f"; of the points tried there, {beyond} are too far out for this formula"
    yield "domain", finite
    yield (
        "not finite",
        f"log π of -inf is read as {LOWEST:,.0f}, without gradient; NaN and +inf give NaN, for "
        "that pair alone",
    )
    if not parity:
        return
    yield "precision", "float64 for float64, float32 for all else"
    installed = ", ".join(f"{name} {version}" for name, version in versions(*packages).items())
    yield (
        "parity",
        f"of this text with the JAX objective, at {parity[0].points} points (random ones over the "
        f"domain, and where branches meet), with {installed}:",
    )
    for one in parity:
        yield "", _result(one)


def _result(parity: Parity) -> str:
    line = f"{parity.precision}: values to {parity.value:.1e}, gradients to {parity.gradient:.1e}"
    if parity.ill:
        line += f" ({parity.ill} points, where rounding the inputs does more, left out)"
    return line
