"""Settings: dataclass fields that know their range, of classes that refuse what is outside it.

    class DPO(Objective):                       # an Objective is Checked
        beta: Number = number(0.1, above=0.0)

`DPO(beta=-1.0)` raises a `RequestError`, and so does whatever else makes one: a file, the command
line, `dataclasses.replace`. A numeric setting also has a chart, the free number in which a search
or a tuning moves it (`mpo.paths`).
"""

import dataclasses
import inspect
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from mpo.errors import RequestError, unknown
from mpo.nonnegative import POSITIVITIES

T = TypeVar("T")

Complaint = str | None
Leaf = Any

# A numeric setting: one number, or a batch of them on leading axes.
# What an array of parameters is kept as: on a device, or on the host.
if TYPE_CHECKING:
    Number = float | Array
    Kept = Array
else:
    Kept = Array | np.ndarray
    Number = float | int | np.number | Num[Array | np.ndarray, "*batch"]

_ZERO_IS_A_POINT: Final = POSITIVITIES["shifted_log"]
_INSIDE: Final = 1e-6  # how near to an end of a range its chart begins, as a share of the range


@dataclasses.dataclass(frozen=True)
class Range:
    """The numbers that a setting may be, and the chart in which it is moved.

    A chart is a free number: its exponential for a setting above its least value, a sigmoid
    between two ends, the setting itself where nothing bounds it. A setting that may be exactly
    its least value has a chart in which that is a point (`shifted_log`).

    Attributes:
      above, at_least: the least value, which it may not or may be.
      below, at_most: the greatest value, likewise.
      other_than: a value that is left out.
      tried: values that a tuning begins with; empty where it leaves the setting alone.
    """

    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None
    other_than: float | None = None
    tried: tuple[float, ...] = ()

    def complaint(self, value: object) -> Complaint:
        """Say what is wrong with a value; nothing, if it is in the range or is traced."""
        if isinstance(value, jax.core.Tracer):
            return None
        array = np.asarray(value)
        if array.dtype == bool or not np.issubdtype(array.dtype, np.number):
            return f"must be a number, not {value!r}"
        if not np.all(np.isfinite(array)):
            return f"must be finite, not {value}"
        rules = (
            (">", np.greater, self.above),
            ("≥", np.greater_equal, self.at_least),
            ("<", np.less, self.below),
            ("≤", np.less_equal, self.at_most),
            ("≠", np.not_equal, self.other_than),
        )
        bounds = [(sign, holds, limit) for sign, holds, limit in rules if limit is not None]
        if not all(np.all(holds(array, limit)) for _, holds, limit in bounds):
            wanted = " and ".join(f"{sign} {limit:g}" for sign, _, limit in bounds)
            return f"must be {wanted}, not {value}"
        return None

    def free(self, value: Number) -> Float[Array, "*batch"]:
        """Return the free number of a value."""
        array = jnp.asarray(value, float)
        low, high = self._ends()
        if math.isfinite(low) and math.isfinite(high):
            share = jnp.clip((array - low) / (high - low), _INSIDE, 1 - _INSIDE)
            return jnp.log(share) - jnp.log1p(-share)
        if math.isfinite(low):
            if self.at_least is not None:
                return jnp.asarray(_ZERO_IS_A_POINT.parameter(np.asarray(array - low)), float)
            return jnp.log(array - low)
        return -jnp.log(high - array) if math.isfinite(high) else array

    def value(self, free: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
        """Return the value of a free number; any is in the range."""
        low, high = self._ends()
        if math.isfinite(low) and math.isfinite(high):
            return low + (high - low) * jax.nn.sigmoid(free)
        if math.isfinite(low):
            weight = _ZERO_IS_A_POINT.weight(free) if self.at_least is not None else jnp.exp(free)
            return low + weight
        return high - jnp.exp(-free) if math.isfinite(high) else free

    def _ends(self) -> tuple[float, float]:
        lows = [limit for limit in (self.above, self.at_least) if limit is not None]
        highs = [limit for limit in (self.below, self.at_most) if limit is not None]
        return max(lows, default=-math.inf), min(highs, default=math.inf)


class Checked:
    """A dataclass whose settings are checked when one is made, by whoever makes it.

    What jax rebuilds of a pytree is not checked: there a leaf may be a tracer, an axis of a
    `vmap` or `None`.
    """

    what: ClassVar[str] = ""
    """What messages call it; by default the name of the class."""

    def __post_init__(self) -> None:
        """Refuse settings out of their range."""
        refuse(type(self), vars(self), self.called())

    @classmethod
    def called(cls) -> str:
        """Return what messages call an object of this class."""
        return cls.what or cls.__name__


def refuse(kind: type, settings: Mapping[str, object], what: str) -> None:
    """Raise the complaint about a setting of `what`, a dataclass of this kind, if there is one."""
    for field in dataclasses.fields(kind):
        check = field.metadata.get("check")
        complaint = check(settings[field.name]) if check and field.name in settings else None
        if complaint:
            raise RequestError(f"setting {field.name!r} of {what} {complaint}")


def number(
    default: float | None,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
    other_than: float | None = None,
    tried: Sequence[float] = (),
) -> Any:
    """Declare a numeric setting with its range; it is traced, so batches of it are a `vmap`.

    Where the default is `None`, the setting may be `None`. A tuning begins with the values
    `tried` (`discovery tune`), and grows from there.
    """
    extent = Range(above, at_least, below, at_most, other_than, tuple(tried))

    def check(value: object) -> Complaint:
        return None if value is None and default is None else extent.complaint(value)

    return dataclasses.field(default=default, metadata={"check": check, "range": extent})


def count(default: int | None) -> Any:
    """Declare a static setting that counts something: a whole number ≥ 1, or `None` as above."""

    def check(value: object) -> Complaint:
        if value is None and default is None:
            return None
        if isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= 1:
            return None
        return f"must be a whole number ≥ 1, not {value!r}"

    return dataclasses.field(default=default, metadata={"check": check, "static": True})


def one_of(default: str, known: Collection[str]) -> Any:
    """Declare a static setting that is one of the `known` names."""

    def check(value: object) -> Complaint:
        return None if value in known else f"is {unknown('name', str(value), known)}"

    return dataclasses.field(default=default, metadata={"check": check, "static": True})


def switch(default: bool) -> Any:
    """Declare a setting that is either on or off; it is static."""

    def check(value: object) -> Complaint:
        return None if isinstance(value, bool) else f"must be true or false, not {value!r}"

    return dataclasses.field(default=default, metadata={"check": check, "static": True})


def part(kind: type, default: Callable[[], object]) -> Any:
    """Declare a setting that is an object of `kind`, itself a pytree."""

    def check(value: object) -> Complaint:
        return None if isinstance(value, kind) else f"must be a {kind.__name__}, not {value!r}"

    return dataclasses.field(default_factory=default, metadata={"check": check})


def required(kind: type) -> Any:
    """Declare a setting that is an object of `kind`, itself a pytree, and has to be given."""

    def check(value: object) -> Complaint:
        return None if isinstance(value, kind) else f"must be a {kind.__name__}, not {value!r}"

    return dataclasses.field(metadata={"check": check})


def kinded(*kinds: type, **default: Any) -> Any:
    """Declare a static setting that is of one of these kinds exactly, such as `dict` or `None`."""

    def check(value: object) -> Complaint:
        if type(value) in kinds or (type(value) is int and float in kinds):
            return None
        return f"must be {_words(kinds)}, not {value!r}"

    return dataclasses.field(metadata={"check": check, "static": True}, **default)


_WORDS: Final[Mapping[type, str]] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    tuple: "a list",
    dict: "a table",
}


def _words(kinds: Sequence[type]) -> str:
    left_out = {type(None), *([int] if float in kinds else [])}
    return " or ".join(_WORDS.get(kind, kind.__name__) for kind in kinds if kind not in left_out)


def build(factory: Callable[..., T], what: str, settings: Mapping[str, object]) -> T:
    """Call `factory(**settings)`, or say which setting of `what` is unknown, missing or wrong."""
    parameters = inspect.signature(factory).parameters
    for name in settings:
        if name not in parameters:
            raise unknown(f"setting of {what}", name, parameters)
    missing = [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty and name not in settings
    ]
    if missing:
        raise RequestError(f"{what} needs the setting {missing[0]!r}")
    if isinstance(factory, type) and dataclasses.is_dataclass(factory):
        refuse(factory, settings, what)  # which may be a name of its own, as that of a file
    return factory(**settings)


def ranges(kind: type | object) -> dict[str, Range]:
    """Return the range of each numeric setting of a dataclass, by name."""
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    return {f.name: f.metadata["range"] for f in fields if "range" in f.metadata}
