"""What a snippet looks like in an array library, apart from its formulas."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sympy.printing.pycode import AbstractPythonCodePrinter

LOWEST: Final = -1e4  # what log 0 is read as; `mpo` is finite from here, with its gradient


@dataclass(frozen=True)
class Dialect:
    """An array library.

    Attributes:
      name: what `discovery export --to` calls it.
      printer: makes the printer of formulas.
      imports: the first lines.
      array: the type of an array, in a hint.
      shape: which arrays the function takes.
      dtype: text of the dtype that is computed in.
      device: text of the device that is computed on, where new arrays must be told.
      scalar, log_probability, vector: what turns an argument called `value` (`values` for a
        vector) into an array of that dtype, read as the header says.
    """

    name: str
    printer: Callable[[], AbstractPythonCodePrinter]
    imports: str
    array: str
    shape: str
    dtype: str
    device: str | None
    scalar: str
    log_probability: str
    vector: str


def _torch() -> AbstractPythonCodePrinter:
    from llm_transfer.snippets.torch_printer import Torch

    return Torch()


def _jax() -> AbstractPythonCodePrinter:
    from llm_transfer.snippets.printers import Jax

    return Jax()


TORCH: Final = Dialect(
    name="torch",
    printer=_torch,
    imports=(
        "import math\n\nimport torch\nimport torch.nn.functional as F\nfrom torch import Tensor"
    ),
    array="Tensor",
    shape="Tensors have one shape, a number for each pair; the loss has it too.",
    dtype="torch.float64 if logp_w.dtype == torch.float64 else torch.float32",
    device="logp_w.device",
    scalar="torch.as_tensor(value, dtype=dtype, device=device)",
    log_probability=(
        f"torch.nan_to_num(value.to(dtype), nan=math.nan, posinf=math.nan, neginf={LOWEST})"
    ),
    vector="torch.tensor(values, dtype=dtype, device=device)",
)
JAX: Final = Dialect(
    name="jax",
    printer=_jax,
    imports="import math\n\nimport jax\nimport jax.numpy as jnp",
    array="jax.Array",
    shape="Arguments are numbers of one pair; `jax.vmap` makes batches.",
    dtype="jnp.float64 if logp_w.dtype == jnp.float64 else jnp.float32",
    device=None,
    scalar="jnp.asarray(value).astype(dtype)",
    log_probability=(
        f"jnp.nan_to_num(value.astype(dtype), nan=math.nan, posinf=math.nan, neginf={LOWEST})"
    ),
    vector="jnp.array(values, dtype)",
)
