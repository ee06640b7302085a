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
      package: what must be installed to run it.
      printer: makes the printer of formulas.
      imports: the first lines, each after a text that calls for it: "" if all programs do.
      array: the type of an array, in a hint.
      shape: which arrays the function takes.
      dtype: text of the dtype that is computed in.
      cast: text of an array, {}, as one of that dtype.
      scalar: text of `progress` as an array.
      log_probability: text of `value` as an array, read as the header says.
      vector: text of the numbers in `values` as an array.
      number: text of a number, {value}, as an array.
      gradients: whether the library has them.
      double: whether it computes in double precision.
    """

    name: str
    package: str
    printer: Callable[[], AbstractPythonCodePrinter]
    imports: tuple[tuple[str, str], ...]
    array: str
    shape: str
    dtype: str
    cast: str
    scalar: str
    log_probability: str
    vector: str
    number: str
    gradients: bool = True
    double: bool = True


def _torch() -> AbstractPythonCodePrinter:
    from llm_transfer.snippets.torch_printer import Torch

    return Torch()


def _jax() -> AbstractPythonCodePrinter:
    from llm_transfer.snippets.printers import Jax

    return Jax()


def _numpy() -> AbstractPythonCodePrinter:
    from llm_transfer.snippets.printers import NumPy

    return NumPy()


def _mlx() -> AbstractPythonCodePrinter:
    from llm_transfer.snippets.printers import Mlx

    return Mlx()


TORCH: Final = Dialect(
    name="torch",
    package="torch",
    printer=_torch,
    imports=(
        ("", "import torch"),
        ("F.", "import torch.nn.functional as F"),
        ("", "from torch import Tensor"),
    ),
    array="Tensor",
    shape="Tensors have one shape, a number for each pair; the loss has it too.",
    dtype="torch.promote_types(logp_w.dtype, torch.float32)",
    cast="{}.to(dtype)",
    scalar="torch.as_tensor(progress, dtype=dtype, device=logp_w.device)",
    log_probability=(
        f"value.to(dtype).nan_to_num(nan=torch.nan, posinf=torch.nan, neginf={LOWEST})"
    ),
    vector="torch.tensor(values, dtype=dtype, device=logp_w.device)",
    number="torch.tensor({value!r}, dtype=dtype, device=logp_w.device)",
)
JAX: Final = Dialect(
    name="jax",
    package="jax",
    printer=_jax,
    imports=(("", "import jax"), ("", "import jax.numpy as jnp")),
    array="jax.Array",
    shape="Arguments are numbers of one pair; `jax.vmap` makes batches.",
    dtype="jnp.float64 if logp_w.dtype == jnp.float64 else jnp.float32",
    cast="{}.astype(dtype)",
    scalar="jnp.asarray(progress).astype(dtype)",
    log_probability=(
        f"jnp.nan_to_num(value.astype(dtype), nan=jnp.nan, posinf=jnp.nan, neginf={LOWEST})"
    ),
    vector="jnp.array(values, dtype)",
    number="jnp.array({value!r}, dtype)",
)
NUMPY: Final = Dialect(
    name="numpy",
    package="numpy",
    printer=_numpy,
    imports=(("", "import numpy as np"),),
    array="np.ndarray",
    shape="Arrays have one shape, a number for each pair; the loss has it too.",
    dtype="np.float64 if np.asarray(logp_w).dtype == np.float64 else np.float32",
    cast="np.asarray({}, dtype)",
    scalar="np.asarray(progress, dtype)",
    log_probability=(
        f"np.nan_to_num(np.asarray(value, dtype), nan=np.nan, posinf=np.nan, neginf={LOWEST})"
    ),
    vector="np.array(values, dtype)",
    number="np.array({value!r}, dtype)",
    gradients=False,
)
MLX: Final = Dialect(
    name="mlx",
    package="mlx",
    printer=_mlx,
    imports=(("", "import mlx.core as mx"),),
    array="mx.array",
    shape="Arrays have one shape, a number for each pair; the loss has it too.",
    dtype="mx.float32",  # its exp is no more precise in float64
    cast="{}.astype(dtype)",
    scalar="mx.array(progress).astype(dtype)",
    log_probability=(
        f"mx.nan_to_num(value.astype(dtype), nan=mx.nan, posinf=mx.nan, neginf={LOWEST})"
    ),
    vector="mx.array(values, dtype)",
    number="mx.array({value!r}, dtype)",
    double=False,
)
