"""Functions that keep their names where a loss is written as a formula.

A formula is found by tracing, and a trace knows arithmetic alone, unless a function says that it
is to stay whole. One under `jax.jit` does, and so does one under `named`, which is the same
function everywhere else: it compiles nothing and changes no program.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

import jax

NAMED: Final[dict[str, Callable[..., Any]]] = {}
"""What was given to `named`, by name."""

_KEPT: Final = ContextVar("names are kept", default=False)


def named(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function of numbers, element by element, keep its name in a formula; a decorator."""
    whole = jax.jit(function)

    @functools.wraps(function)
    def wrapped(*arguments: Any) -> Any:
        return whole(*arguments) if _KEPT.get() else function(*arguments)

    NAMED[function.__name__] = function
    return wrapped


@contextmanager
def names_kept() -> Iterator[None]:
    """Trace functions under `named` as calls, within this context."""
    token = _KEPT.set(True)
    try:
        yield
    finally:
        _KEPT.reset(token)
