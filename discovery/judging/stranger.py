"""A stranger's loss: found in its file, and refused in one line where it cannot work.

It is a registered objective (`mpo.register_objective`), or a plain function of one comparison,
best first:

    def loss(logp, length, ref_logp=None, reward=None): ...  # arrays [K]; returns a scalar

of JAX arrays, or of the tensors of a library that `GROUP` has.
"""

import functools
import importlib.metadata
import inspect
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from typing_extensions import override

import mpo
from mpo import modules
from mpo.comparison import Comparison
from mpo.errors import RequestError
from mpo.objectives import OBJECTIVES, Objective
from mpo.pytree import pytree

FUNCTION: Final = "loss"
"""What a plain function is called in its file."""
ALWAYS, OPTIONAL = ("logp", "length"), ("ref_logp", "reward")
"""What a plain function may read of a comparison; the optional is given where it is read."""
OBJECTIVE, PLAIN = "objective", "function"

GROUP: Final = "discovery.functions"
"""Entry points, by the name of a library: whether a module uses it, and what makes functions of its
arrays into functions of JAX's."""

Plain = Callable[..., Any]


@dataclass(frozen=True)
class Found:
    """A loss that passed.

    Attributes:
      name: that `mpo.objective` knows it by.
      kind: "objective" or "function".
      reads: the optional fields of a comparison that it reads.
    """

    name: str
    kind: str
    reads: tuple[str, ...]


def find(loss: str) -> Found:
    """Return the loss of a name, or of a file that ends in .py, which passed every check.

    Raises:
      RequestError: there is no loss, or none that can be trained on.
    """
    if loss.endswith(".py"):
        return _in_file(Path(loss))
    objective = mpo.objective(loss)
    check(objective, loss)
    return Found(loss, OBJECTIVE, objective.needs)


def _in_file(path: Path) -> Found:
    before = {*OBJECTIVES}
    try:
        module = modules.from_file(path, "loss")
    except (RequestError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        raise RequestError(f"{path} cannot be imported: {error!r}") from error
    new = [name for name in OBJECTIVES if name not in before]
    if len(new) > 1:
        raise RequestError(f"{path} registers {', '.join(new)}: leave one of them, to be judged")
    if new:
        objective = mpo.objective(new[0])
        check(objective, str(path))
        return Found(new[0], OBJECTIVE, objective.needs)
    function = getattr(module, FUNCTION, None)
    if not callable(function):
        raise RequestError(
            f"{path} has no loss: define {FUNCTION}(logp, length, ref_logp=None, reward=None) of "
            "one comparison, or register an mpo.Objective"
        )
    function = _in_jax(function, module)
    kind = of_function(function, re.sub(r"\W", "_", path.stem), str(path))
    mpo.register_objective(kind)
    return Found(kind.name, PLAIN, kind.needs)


def _in_jax(function: Plain, module: ModuleType) -> Plain:
    """Return a function that was written with another library as one of JAX arrays."""
    for entry in importlib.metadata.entry_points(group=GROUP):
        if entry.name in sys.modules:  # else the module cannot have used it
            uses, as_jax = entry.load()
            if uses(module):
                converted: Plain = functools.wraps(function)(as_jax(function))
                return converted
    return function


def of_function(function: Plain, name: str, place: str) -> type[Objective]:
    """Return a plain function as a class of objectives, which needs what the function reads.

    An optional field is read if the function fails without it, or returns something else.

    Raises:
      RequestError: the function cannot be trained on; `place` says where it is.
    """
    parameters = inspect.signature(function).parameters
    odd = [
        one.name
        for one in parameters.values()
        if one.name not in (*ALWAYS, *OPTIONAL) and one.default is one.empty
    ]
    if odd or ALWAYS[0] not in parameters:
        said = f"takes {odd[0]!r}" if odd else f"does not take {ALWAYS[0]!r}"
        raise RequestError(
            f"{FUNCTION} in {place} {said}: it is called with {', '.join((*ALWAYS, *OPTIONAL))}, "
            "by these names"
        )
    given = tuple(field for field in OPTIONAL if field in parameters)
    always = tuple(field for field in ALWAYS if field in parameters)
    whole = _kind(function, name, always, given)
    check(whole(), place)
    reads = tuple(
        field
        for field in given
        if not _same(whole(), _kind(function, name, always, _without(given, field))())
    )
    return _kind(function, name, always, reads)


def check(objective: Objective, place: str) -> None:
    """Refuse a loss that is no scalar, cannot be differentiated, or is not finite.

    Raises:
      RequestError: it is; `place` says where it is.
    """
    several = battery()
    first = jax.tree.map(lambda leaf: leaf[0], several)
    checked = first.checked(objective.needs, by=objective.name, least=objective.least)
    try:
        shape = jax.eval_shape(objective.loss, checked, jnp.zeros(())).shape
    except (RequestError, MemoryError):
        raise
    except Exception as error:
        raise RequestError(f"JAX cannot trace the loss in {place}: {_line(error)}") from error
    if shape != ():
        raise RequestError(
            f"the loss in {place} has shape {[*shape]}: it must be a scalar, of one comparison"
        )
    try:
        values, slopes = _values(objective, several)
    except (RequestError, MemoryError):
        raise
    except Exception as error:
        raise RequestError(
            f"JAX cannot differentiate the loss in {place}: {_line(error)}"
        ) from error
    for what, finite in (
        ("loss", np.isfinite(values)),
        ("slope of the loss", np.isfinite(slopes).all(axis=-1)),
    ):
        if not finite.all():
            at = int(np.argmin(finite))
            logp, length = (np.asarray(one)[at].tolist() for one in (several.logp, several.length))
            raise RequestError(
                f"the {what} in {place} is not finite at logp {logp}, length {length}: "
                "jax.nn.log_sigmoid, softplus and logsumexp are, where logs of exponentials "
                "are not"
            )
    if not slopes.any():
        raise RequestError(
            f"the loss in {place} does not depend on logp: its slope is zero everywhere"
        )


def battery() -> Comparison:
    """Return comparisons that a loss must be finite on, fields of shape [comparisons, 2].

    Responses of one token or step and of fifty; of likely, usual and unlikely ones, and of
    densities above one, as those of continuous actions are; ties among them.
    """
    steps = np.array([-8.0, -1.0, -0.02, 1.5])
    grid = np.meshgrid(steps, steps, steps, [1.0, 50.0], [1.0, 50.0], indexing="ij")
    chosen, rejected, reference, first, last = (one.ravel() for one in grid)
    length = np.stack([first, last], axis=-1)
    fields = {
        "logp": np.stack([chosen, rejected], axis=-1) * length,
        "length": length,
        "ref_logp": np.stack([reference, rejected - 0.5], axis=-1) * length,
        "reward": np.interp(np.stack([chosen, reference], axis=-1), steps, [-2.0, -0.5, 0.5, 2.0]),
    }
    return Comparison(**{name: jnp.asarray(one, jnp.float32) for name, one in fields.items()})


def _kind(
    function: Plain, called: str, always: tuple[str, ...], reads: tuple[str, ...]
) -> type[Objective]:
    @pytree
    @dataclass(frozen=True, kw_only=True)
    class OfFunction(Objective):
        """A plain function of a comparison's fields."""

        name: ClassVar = called
        needs: ClassVar = reads

        @override
        def loss(self, c: Comparison, progress: Float[Array, ""]) -> Any:
            return jnp.asarray(function(**{one: getattr(c, one) for one in (*always, *reads)}))

    return OfFunction


def _without(fields: tuple[str, ...], one: str) -> tuple[str, ...]:
    return tuple(field for field in fields if field != one)


def _same(one: Objective, other: Objective) -> bool:
    """Whether two losses and their slopes are the same; not, if the other one fails."""
    try:
        pairs = zip(_values(one, battery()), _values(other, battery()), strict=True)
        return all(np.array_equal(*pair) for pair in pairs)
    except MemoryError:
        raise
    except Exception:
        return False


def _values(
    objective: Objective, several: Comparison
) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n k"]]:
    """Return losses, and their slopes in the log-probabilities."""

    def value(logp: Array, c: Comparison) -> Array:
        return objective(replace(c, logp=logp))

    found = jax.jit(jax.vmap(jax.value_and_grad(value)))(several.logp, several)
    values, slopes = map(np.asarray, found)
    return values, slopes


def _line(error: Exception) -> str:
    """Return the first sentence of an error, with its kind."""
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
