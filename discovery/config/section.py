"""What every section of a description shares: its fields have the kinds they are annotated with."""

from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, get_args, get_type_hints

from mpo.errors import RequestError

Settings = Mapping[str, Any]  # passed on to what they are settings of, which checks them


class Section:
    """Checks that every field has a value of the kind it is annotated with."""

    def __post_init__(self) -> None:
        """Refuse values of another kind, and numbers that cannot be."""
        hints = get_type_hints(type(self))
        for name, kind in hints.items():
            value = getattr(self, name)
            if not _is(value, kind):
                raise RequestError(f"{self.where(name)} must be {_words(kind)}, not {value!r}")
            if type(value) in (int, float) and (value < 0 or value != value):
                raise RequestError(f"{self.where(name)} must not be negative: it is {value}")

    @classmethod
    def where(cls, name: str) -> str:
        """Return how a setting is called in messages and on the command line."""
        return f"{cls.__name__.lower()}.{name}"

    def positive(self, *names: str) -> None:
        """Refuse zeros."""
        for name in names:
            if not getattr(self, name) > 0:
                raise RequestError(f"{self.where(name)} must be greater than 0")


def _is(value: Any, kind: Any) -> bool:
    if isinstance(kind, UnionType):
        return any(_is(value, one) for one in get_args(kind))
    if kind == Settings:
        return isinstance(value, Mapping)
    if kind is float:
        return type(value) in (int, float)
    if kind == tuple[str, ...]:
        return isinstance(value, tuple) and all(type(one) is str for one in value)
    return type(value) is kind


def _words(kind: Any) -> str:
    if isinstance(kind, UnionType):
        return " or ".join(_words(one) for one in get_args(kind) if one is not NoneType)
    words: Mapping[Any, str] = {
        int: "a whole number",
        float: "a number",
        str: "a name",
        bool: "true or false",
        tuple[str, ...]: "a list of names",
    }
    return words.get(kind, "a table of settings")
