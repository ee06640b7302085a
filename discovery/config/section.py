"""What every section of a description shares: its fields have the kinds they are annotated with."""

import dataclasses
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_type_hints

from mpo.errors import RequestError, unknown

Settings = Mapping[str, Any]  # passed on to what they are settings of, which checks them


S = TypeVar("S", bound="Section")


class Section:
    """A table of settings: built from plain values that are checked against its annotations."""

    @classmethod
    def of(cls: type[S], values: Mapping[str, Any]) -> S:
        """Return the section with these settings, or say which is unknown or cannot be."""
        known = get_type_hints(cls)
        for name in values:
            if name not in known:
                raise unknown(f"setting of {cls.__name__.lower()}", name, known)
        fields = dataclasses.fields(cls)  # type: ignore[arg-type]  # subclasses are dataclasses
        if missing := [f.name for f in fields if f.name not in values and _required(f)]:
            raise RequestError(f"{cls.where(missing[0])} was not given")
        return cls(**{name: cls._read(name, values[name], known[name]) for name in values})

    @classmethod
    def _read(cls, name: str, value: Any, kind: Any) -> Any:
        value = tuple(value) if isinstance(value, list) else value
        if not _is(value, kind):
            raise RequestError(f"{cls.where(name)} must be {_words(kind)}, not {value!r}")
        if type(value) not in (int, float):
            return value
        if not value >= 0:
            raise RequestError(f"{cls.where(name)} must not be negative: it is {value}")
        whole = kind is int or int in get_args(kind)
        return value if whole else float(value)

    @classmethod
    def where(cls, name: str) -> str:
        """Return how a setting is called in messages and on the command line."""
        return f"{cls.__name__.lower()}.{name}"

    def positive(self, *names: str) -> None:
        """Refuse zeros."""
        for name in names:
            if not getattr(self, name) > 0:
                raise RequestError(f"{self.where(name)} must be greater than 0")


def _required(field: Any) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


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
