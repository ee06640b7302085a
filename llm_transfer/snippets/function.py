"""A formula as the text of one pure function, in any dialect."""

import textwrap
from collections.abc import Iterator

from sympy.printing.pycode import AbstractPythonCodePrinter

from llm_transfer.expressions import Definition, Expression
from llm_transfer.snippets import layout
from llm_transfer.snippets.dialect import Dialect

WIDTH = 100
_MEANING = {
    "logp_w": "logp_w, logp_l: log π of the chosen and the rejected response, summed over tokens.",
    "len_w": "len_w, len_l: tokens in each response, which log-probabilities are divided by.",
    "ref_logp_w": "ref_logp_w, ref_logp_l: the same under the reference policy.",
    "reward_w": "reward_w, reward_l: explicit reward of each response.",
    "progress": "progress: n/N in [0, 1], how far training is.",
}
_LOG_PROBABILITIES = ("logp_w", "logp_l", "ref_logp_w", "ref_logp_l")


def function(expression: Expression, dialect: Dialect) -> str:
    """Return the imports and the function `loss` as text."""
    body = [
        *_indented(_preparation(expression, dialect)),
        *_indented(_constants(expression)),
        *_indented(_computation(expression, dialect)),
    ]
    lines = [
        *(line for wanted, line in dialect.imports if any(wanted in one for one in body)),
        "",
        "",
        _signature(expression, dialect),
        *_indented(_docstring(expression, dialect)),
        *body,
    ]
    return "\n".join(lines) + "\n"


def _signature(expression: Expression, dialect: Dialect) -> str:
    hints = {"progress": f"float | {dialect.array} = 0.0"}
    arguments = [f"{name}: {hints.get(name, dialect.array)}" for name in expression.inputs]
    line = f"def loss({', '.join(arguments)}) -> {dialect.array}:"
    if len(line) <= WIDTH:
        return line
    return "\n".join(
        ["def loss(", *(f"    {argument}," for argument in arguments), f") -> {dialect.array}:"]
    )


def _docstring(expression: Expression, dialect: Dialect) -> Iterator[str]:
    yield '"""Return the loss of pairs of responses, lower is better.'
    yield ""
    yield from textwrap.wrap(_plain(expression.summary), WIDTH - 4)
    yield ""
    yield dialect.shape
    yield ""
    yield "Args:"
    for name in expression.inputs:
        if name in _MEANING:
            yield "  " + _MEANING[name]
    yield '"""'


def _preparation(expression: Expression, dialect: Dialect) -> Iterator[str]:
    """Yield what brings the arguments to one dtype, and log-probabilities to what is defined."""
    used = [name for name in expression.inputs if name in expression.free]
    logs = [name for name in used if name in _LOG_PROBABILITIES]
    others = [name for name in used if name not in (*logs, "progress")]
    array = dialect.array
    yield f"dtype = {dialect.dtype}"
    yield ""
    yield f"def log_prob(value: {array}) -> {array}:  # -inf as -10,000; NaN and +inf as NaN"
    yield f"    return {dialect.log_probability}"
    yield ""
    if any(isinstance(value, tuple) for value in expression.constants.values()):
        yield f"def units(*values: float) -> {array}:"
        yield f"    return {dialect.vector}"
        yield ""
    yield from _pairs(logs, "log_prob({})")
    yield from _pairs(others, "{}" + dialect.cast)
    if "progress" in used:
        yield f"progress = {dialect.scalar}"


def _pairs(names: list[str], read: str) -> Iterator[str]:
    """Yield a line for both responses: `a_w, a_l = read(a_w), read(a_l)`."""
    for start in range(0, len(names), 2):
        pair = names[start : start + 2]
        yield f"{', '.join(pair)} = {', '.join(map(read.format, pair))}"


def _constants(expression: Expression) -> Iterator[str]:
    for name, value in expression.constants.items():
        if isinstance(value, tuple):
            yield from _vector(name, value)
        else:
            yield f"{name} = {value!r}"


def _vector(name: str, values: tuple[float, ...]) -> Iterator[str]:
    text = ", ".join(map(repr, values))
    if len(name) + len(text) + 14 <= WIDTH:
        yield f"{name} = units({text})"
        return
    yield f"{name} = units("
    yield from (f"    {line}" for line in textwrap.wrap(text + ",", WIDTH - 8))
    yield ")"


def _computation(expression: Expression, dialect: Dialect) -> Iterator[str]:
    printer = dialect.printer()
    for definition in expression.definitions:
        yield ""
        yield from _nested(definition, printer, dialect)
    if expression.definitions:
        yield ""
    yield from _body(expression.loss, printer)


def _nested(
    definition: Definition, printer: AbstractPythonCodePrinter, dialect: Dialect
) -> Iterator[str]:
    parameters = ", ".join(f"{parameter}: {dialect.array}" for parameter in definition.parameters)
    comment = f"  # {_plain(definition.summary)}" if definition.summary else ""
    line = f"def {definition.name}({parameters}) -> {dialect.array}:"
    if len(line) + len(comment) + 4 > WIDTH:
        yield comment.strip()
        comment = ""
    yield line + comment
    yield from _indented(_body(definition, printer))


def _body(definition: Definition, printer: AbstractPythonCodePrinter) -> Iterator[str]:
    for name, part in definition.parts:
        yield from layout.statement(f"{name} = ", printer.doprint(part), WIDTH - 8)
    value = printer.doprint(definition.value)
    if definition.value.is_number:  # as an array, which stays NaN where the argument is NaN
        like = definition.parameters[0]
        value = f"{value} + 0 * {like}" if definition.value else f"0 * {like}"
    yield from layout.statement("return ", value, WIDTH - 8)


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"    {line}" if line else "" for line in lines)


def _plain(text: str) -> str:
    """Return a text that stays within a docstring and a line of a comment."""
    return " ".join(text.split()).replace("\\", "/").replace('"', "'")
