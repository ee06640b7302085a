"""A formula as LaTeX."""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

import sympy
from sympy.codegen.cfunctions import expm1, log1p
from sympy.printing.latex import LatexPrinter

from llm_transfer.snippets.printers import readable
from mpo.expressions import Expression
from mpo.expressions.system import symbol

_SYMBOLS: Final = {
    "logp_w": r"\log\pi(y_w)",
    "logp_l": r"\log\pi(y_l)",
    "ref_logp_w": r"\log\pi_{\mathrm{ref}}(y_w)",
    "ref_logp_l": r"\log\pi_{\mathrm{ref}}(y_l)",
    "len_w": r"|y_w|",
    "len_l": r"|y_l|",
    "reward_w": r"r_w",
    "reward_l": r"r_l",
    "sampled_logp_w": r"\log\pi_{\mathrm{gen}}(y_w)",
    "sampled_logp_l": r"\log\pi_{\mathrm{gen}}(y_l)",
    "credit_w": r"A_w",
    "credit_l": r"A_l",
    "progress": r"t",
    "log_pi_w": r"\ell_w",
    "log_pi_l": r"\ell_l",
    "log_ref_w": r"\ell^{\mathrm{ref}}_w",
    "log_ref_l": r"\ell^{\mathrm{ref}}_l",
    "log_sampled_w": r"\ell^{\mathrm{gen}}_w",
    "log_sampled_l": r"\ell^{\mathrm{gen}}_l",
    "ratio_w": r"\delta_w",
    "ratio_l": r"\delta_l",
    "log_x": r"\ell",
    "slope": "s",
    "bias": "b",
    "lam": r"\lambda",
    "label_smoothing": r"\varepsilon",
    "reward_beta": r"\beta_2",
}
_FUNCTIONS: Final = {
    "psi": r"\psi",
    "phi_inv": r"\phi^{-1}",
    "log_odds": r"\operatorname{logit}",
    "bernoulli_kl": r"\operatorname{KL}",
}
_UNITS: Final = re.compile(r"(\w+)_([a-z]+)_([wseb])")  # what the vectors of networks are called
_DIGITS = 6


class Latex(LatexPrinter):
    """sympy's printer of LaTeX, in the letters of the papers."""

    def _print_Symbol(self, expr: Any, style: str = "plain") -> str:
        name = expr.name
        if name in _SYMBOLS:
            return _SYMBOLS[name]
        if unit := _UNITS.fullmatch(name):
            potential, activation, letter = unit.groups()
            return rf"{letter}^{{{function_name(potential)},\mathrm{{{activation}}}}}"
        return _text(name) if "_" in name else super()._print_Symbol(expr)

    def _print_Indexed(self, expr: Any) -> str:
        vector = self._print(symbol(str(expr.base)))
        return rf"{{{vector}}}_{{{', '.join(map(self._print, expr.indices))}}}"

    def _print_Float(self, expr: Any) -> str:
        digits, _, exponent = f"{float(expr):.{_DIGITS}g}".partition("e")
        return rf"{digits} \cdot 10^{{{int(exponent)}}}" if exponent else digits

    def _print_AppliedUndef(self, expr: Any, exp: str | None = None) -> str:
        name = function_name(expr.func.__name__)
        return self._raised(rf"{name}\left({', '.join(map(self._print, expr.args))}\right)", exp)

    def _print_logsigmoid(self, expr: Any, exp: str | None = None) -> str:
        return self._applied(r"\log\sigma", expr, exp)

    def _print_sigmoid(self, expr: Any, exp: str | None = None) -> str:
        return self._applied(r"\sigma", expr, exp)

    def _print_stop_gradient(self, expr: Any, exp: str | None = None) -> str:
        return self._applied(r"\operatorname{sg}", expr, exp)

    def _applied(self, name: str, expr: Any, exp: str | None) -> str:
        return self._raised(rf"{name}\left({self._print(expr.args[0])}\right)", exp)

    def _raised(self, text: str, exp: str | None) -> str:
        return text if exp is None else rf"{{{text}}}^{{{exp}}}"

    def _as_ordered_terms(self, expr: Any, order: str | None = None) -> list[sympy.Expr]:
        return readable(super()._as_ordered_terms(expr, order))


def latex(expression: Expression) -> str:
    """Return the formula and what it is made of, as aligned equations for a math environment."""
    rows = list(_rows(expression))
    return "\n".join([r"\begin{aligned}", " \\\\\n".join(rows), r"\end{aligned}"])


def _rows(expression: Expression) -> Iterator[str]:
    printer, loss = Latex(), expression.loss
    yield rf"\mathcal{{L}} &= {printer.doprint(_spelt(loss.value))}"
    for name, part in loss.parts:
        yield rf"{printer.doprint(name)} &= {printer.doprint(_spelt(part))}"
    for definition in reversed(expression.definitions):
        arguments = ", ".join(map(printer.doprint, definition.parameters))
        value = _spelt(definition.substituted(*definition.parameters))
        yield rf"{function_name(definition.name)}({arguments}) &= {printer.doprint(value)}"
    sizes = defaultdict[int, list[str]](list)
    for constant, number in expression.constants.items():
        letter = printer.doprint(symbol(constant))
        if isinstance(number, tuple):
            sizes[len(number)].append(letter)
        else:
            yield f"{letter} &= {printer.doprint(sympy.Float(number))}"
    for size, letters in sorted(sizes.items()):
        yield rf"{', '.join(letters)} &\in \mathbb{{R}}^{{{size}}}"


def _spelt(value: sympy.Expr) -> sympy.Expr:
    """Return a formula without the functions that only matter to a computer."""
    value = value.replace(expm1, lambda x: sympy.exp(x) - 1)
    value = value.replace(log1p, lambda x: sympy.log(1 + x))
    value = value.replace(_is_size, lambda x: sympy.Abs(x.args[0][0]))
    return value.replace(_is_nested, sympy.piecewise_fold)


def _is_size(value: sympy.Expr) -> bool:
    """Whether a value is written out as x where x ≥ 0, and -x elsewhere."""
    if not isinstance(value, sympy.Piecewise) or len(value.args) != 2:
        return False
    (above, condition), (below, _) = value.args
    return bool(condition == sympy.Ge(above, 0) and below == -above)


def _is_nested(value: sympy.Expr) -> bool:
    """Return whether it is cases within cases, which keep numbers in range that are not used."""
    return isinstance(value, sympy.Piecewise) and any(
        case.has(sympy.Piecewise) for case, _ in value.args
    )


def function_name(name: str) -> str:
    """Return how a definition is called in LaTeX."""
    return _FUNCTIONS.get(name) or rf"\operatorname{{{_escaped(name)}}}"


def _text(name: str) -> str:
    return rf"\mathrm{{{_escaped(name)}}}"


def _escaped(name: str) -> str:
    return name.replace("_", r"\_")
