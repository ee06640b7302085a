"""The command as it was typed, for files that say how they were made."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import click

_TYPED: ContextVar[str | None] = ContextVar("typed", default=None)


def typed() -> str | None:
    """Return the `discovery` command that is being carried out; `None` outside of one."""
    return _TYPED.get()


def plugins() -> tuple[str, ...]:
    """Return the modules of your own that the command is carried out with (`--with`)."""
    context = click.get_current_context(silent=True)
    return () if context is None else tuple(context.find_root().params.get("with_") or ())


@contextmanager
def carried_out(arguments: Sequence[str]) -> Iterator[None]:
    """Remember that the block carries out `discovery` with these arguments."""
    token = _TYPED.set(shlex.join(["discovery", *arguments]))
    try:
        yield
    finally:
        _TYPED.reset(token)
