"""Settings: dataclass fields that know their range, of classes that refuse what is outside it.

    class DPO(Objective):                       # an Objective is Checked
        beta: Number = number(0.1, above=0.0)

`DPO(beta=-1.0)` raises a `RequestError`, and so does whatever else makes one: a file, the command
line, `dataclasses.replace`. What a field is annotated with is checked, too, where it is plain:
a number, text, true or false, a list or a table of such, another dataclass, or `None` besides.
A numeric setting also has a chart, the free number in which a search or a tuning moves it
(`mpo.paths`).
"""

import collections.abc
import dataclasses
import functools
import inspect
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Final,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from mpo.errors import RequestError, unknown
from mpo.nonnegative import POSITIVITIES

T = TypeVar("T")

Complaint = str | RequestError | None

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
      clipped: whether the chart between two ends is the setting's share of the way, clipped, in
        which both ends are points.
      tried: values that a tuning begins with; empty where it leaves the setting alone.
      unseen: values at which a formula does not name the setting: its role is empty there.
    """

    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None
    other_than: float | None = None
    clipped: bool = False
    tried: tuple[float, ...] = ()
    unseen: tuple[float, ...] = ()

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
        if self.clipped:
            return (array - low) / (high - low)
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
        if self.clipped:
            return low + (high - low) * jnp.clip(free, 0, 1)
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
        """Refuse settings of the wrong kind, or out of their range."""
        refuse(type(self), vars(self), self.called())

    @classmethod
    def called(cls) -> str:
        """Return what messages call an object of this class."""
        return cls.what or cls.__name__

    @classmethod
    def place(cls, name: str, what: str) -> str:
        """Return what messages call the setting `name` of an object that they call `what`."""
        return f"setting {name!r} of {what}"


def refuse(kind: type, settings: Mapping[str, object], what: str) -> None:
    """Raise the complaint about a setting of `what`, a dataclass of this kind, if there is one."""
    place = kind.place if issubclass(kind, Checked) else Checked.place
    annotations = _annotations(kind)
    for field in dataclasses.fields(kind):
        if field.name not in settings:
            continue
        value, annotation = settings[field.name], annotations.get(field.name, Any)
        if value is None and NoneType in get_args(annotation):
            continue
        check: Callable[[object], Complaint] = field.metadata.get("check", lambda value: None)
        complaint = check(value) or _complaint(value, annotation)
        if isinstance(complaint, RequestError):
            raise complaint.of(place(field.name, what))
        if complaint:
            raise RequestError(f"{place(field.name, what)} {complaint}")


@functools.cache
def _annotations(kind: type) -> Mapping[str, Any]:
    """Return what the fields of a dataclass are annotated with, where that can be told."""
    try:
        return get_type_hints(kind)
    except NameError:  # a class of a function, in a module with annotations as text
        return {}


def _complaint(value: object, annotation: Any) -> Complaint:
    """Say that a value is not of the kind that a plain annotation tells."""
    kinds = _alternatives(annotation)
    if isinstance(value, jax.core.Tracer) or not all(map(_is_plain, kinds)):
        return None
    if any(_is_of(value, kind) for kind in kinds):
        return None
    named = {*kinds} - ({NoneType, int} if float in kinds else {NoneType})
    words = [_words(kind) for kind in kinds if kind in named]
    return f"must be {' or '.join(words)}, not {value!r}"


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    union = isinstance(annotation, UnionType) or get_origin(annotation) is Union
    return get_args(annotation) if union else (annotation,)


def _is_plain(kind: Any) -> bool:
    if get_origin(kind) is tuple and len(get_args(kind)) == 2:
        kind = get_args(kind)[0]
    kind = get_origin(kind) or kind
    if kind in _WORDS:
        return True
    ours = isinstance(kind, type) and (dataclasses.is_dataclass(kind) or issubclass(kind, Checked))
    return ours or getattr(kind, "_is_runtime_protocol", False)


def _is_of(value: object, kind: Any) -> bool:
    """Whether a value is of a plain kind; a whole number is a number, and neither is `True`."""
    if get_origin(kind) is tuple:
        entry = get_args(kind)[0]
        return isinstance(value, tuple) and all(_is_of(one, entry) for one in value)
    kind = get_origin(kind) or kind
    if kind in (int, float):
        numbers = (int, np.integer) if kind is int else (int, float, np.integer, np.floating)
        return isinstance(value, numbers) and not isinstance(value, bool)
    if kind is collections.abc.Sequence:
        return isinstance(value, list | tuple)
    return isinstance(value, kind)


_WORDS: Final[Mapping[Any, str]] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    tuple: "a list",
    dict: "a table",
    collections.abc.Sequence: "a list",
    collections.abc.Mapping: "a table",
    NoneType: "nothing",
}


def _words(kind: Any) -> str:
    if get_origin(kind) is tuple:
        entries = {str: "names", int: "whole numbers", float: "numbers"}
        return f"a list of {entries.get(get_args(kind)[0], get_args(kind)[0].__name__)}"
    kind = get_origin(kind) or kind
    return _WORDS.get(kind) or f"a {kind.__name__}"


def number(
    default: float | None,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
    other_than: float | None = None,
    clipped: bool = False,
    tried: Sequence[float] = (),
    unseen: Sequence[float] = (),
) -> Any:
    """Declare a numeric setting with its range; it is traced, so batches of it are a `vmap`.

    A tuning begins with the values `tried` (`discovery tune`), and grows from there.
    """
    bounds = (above, at_least, below, at_most, other_than)
    extent = Range(*bounds, clipped, tuple(tried), tuple(unseen))
    return dataclasses.field(default=default, metadata={"check": extent.complaint, "range": extent})


def count(default: int | None, *, at_least: int = 1, below: int | None = None) -> Any:
    """Declare a static setting that counts something: a whole number in this range."""
    wanted = f"≥ {at_least}" if below is None else f"in [{at_least}, {below})"

    def check(value: object) -> Complaint:
        if _is_of(value, int) and at_least <= value < (math.inf if below is None else below):  # type: ignore[operator]  # it is a number
            return None
        return f"must be a whole number {wanted}, not {value!r}"

    return dataclasses.field(default=default, metadata={"check": check, "static": True})


def one_of(default: str | None, known: Collection[str]) -> Any:
    """Declare a static setting that is one of the `known` names."""

    def check(value: object) -> Complaint:
        return None if value in known else unknown("name", str(value), known)

    return dataclasses.field(default=default, metadata={"check": check, "static": True})


def switch(default: bool) -> Any:
    """Declare a setting that is either on or off; it is static."""
    return dataclasses.field(default=default, metadata={"static": True})


def static() -> Any:
    """Declare a field without a default that is structure: hashable, and no leaf."""
    return dataclasses.field(metadata={"static": True})


def build(factory: Callable[..., T], what: str, settings: Mapping[str, object]) -> T:
    """Call `factory(**settings)`, or say which setting of `what` is unknown, missing or wrong.

    The settings of a dataclass may come from JSON or TOML: where it has a tuple a list will do,
    and where it has a number that need not be whole, a whole one.
    """
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
        annotations = _annotations(factory)
        settings = {n: _fitted(value, annotations.get(n, Any)) for n, value in settings.items()}
        refuse(factory, settings, what)  # which may be a name of its own, as that of a file
    return factory(**settings)


def _fitted(value: object, annotation: Any) -> object:
    """Return a value of JSON as an annotation has it."""
    kinds = _alternatives(annotation)
    origins = [get_origin(kind) or kind for kind in kinds]
    if isinstance(value, list) and tuple in origins:
        entry = next((get_args(kind)[0] for kind in kinds if get_args(kind)), Any)
        return tuple(_fitted(one, entry) for one in value)
    if type(value) is int and float in origins and int not in origins:
        return float(value)
    return value


def ranges(kind: type | object) -> dict[str, Range]:
    """Return the range of each numeric setting of a dataclass, by name."""
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    return {f.name: f.metadata["range"] for f in fields if "range" in f.metadata}
