"""sympy's PyTorch printer. Importing it imports torch, where that is installed."""

from typing import Any, Final

import sympy
from sympy.codegen.cfunctions import expm1, log1p
from sympy.printing.pytorch import TorchPrinter
from typing_extensions import override

from llm_transfer.snippets.printers import ArrayPrinter
from mpo.expressions.functions import logsigmoid, sigmoid

_COUNTS: Final = ("len_w", "len_l")  # they have no gradients
_CLAMP: Final = {"maximum": "min", "minimum": "max"}


class Torch(ArrayPrinter, TorchPrinter):
    """sympy's printer of PyTorch, with the functions that keep formulas stable."""

    library = "torch"
    mapping = TorchPrinter.mapping | {
        expm1: "torch.expm1",
        log1p: "torch.log1p",
        logsigmoid: "F.logsigmoid",
        sigmoid: "torch.sigmoid",
    }

    def _print_stop_gradient(self, expr: Any) -> str:
        return f"({self._print(expr.args[0])}).detach()"

    @override
    def extremum(self, function: str, variable: str, bound: sympy.Expr, like: str) -> str:
        """Return a maximum or minimum of tensors: `torch.clamp` has other gradients at a tie."""
        if not bound.is_number:
            return super().extremum(function, variable, bound, like)
        number = self._print(bound)
        if variable in _COUNTS:
            return f"{variable}.clamp({_CLAMP[function]}={number})"
        return f"torch.{function}({variable}, torch.full_like({like}, {number}))"
