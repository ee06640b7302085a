"""From a discovered objective to a language model: closed forms, export, trainers.

    loss = llm_transfer.torch_loss("runs/quick")          a PyTorch loss of pairs
    text = llm_transfer.export("runs/quick", to="torch")  the same as text to paste, with proof
    front = llm_transfer.fit("runs/quick")                short formulas close to it

The only package that imports torch; install it with the [llm] extra. JAX, LaTeX and JSON are
exported, and closed forms fitted, without it.
"""

from typing import TYPE_CHECKING, Any, Final

from mpo import lazy

if TYPE_CHECKING:
    from discovery.closed_form.fitting import fit
    from llm_transfer.snippets.exporting import export
    from llm_transfer.snippets.torch_loss import TorchLoss, torch_loss

# Imported when they are asked for: torch and sympy take seconds.
_WHERE: Final = {
    "TorchLoss": "llm_transfer.snippets.torch_loss",
    "export": "llm_transfer.snippets.exporting",
    "fit": "discovery.closed_form.fitting",
    "torch_loss": "llm_transfer.snippets.torch_loss",
}

__all__ = ["TorchLoss", "export", "fit", "torch_loss"]


def __getattr__(name: str) -> Any:
    return lazy.attribute(__name__, _WHERE, name)
