"""Snippets as functions."""

from collections.abc import Callable
from typing import Any


def execute(text: str) -> Callable[..., Any]:
    """Return the function `loss` of a snippet that this package wrote, run in a new namespace."""
    namespace: dict[str, Any] = {"__name__": "snippet"}
    exec(compile(text, "<exported loss>", "exec"), namespace)
    return namespace["loss"]
