"""How what has a name comes into its registry, from inside this project or from outside.

Each registry has one function that does it, which is a decorator, too: `register_objective` and
`register_potential` of `mpo`, `register_slope` of `mpo.train`, `register_task` of `envs`, and
`register_kind` of `envs.data`.
"""

import re
from collections.abc import MutableMapping
from typing import Any, Final

from mpo.errors import RequestError

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_SHIPPED: Final = ("mpo", "envs")


def enter(
    registry: MutableMapping[str, Any], what: str, name: object, value: Any, maker: Any, known: Any
) -> None:
    """Put a value into a registry under a name of its own.

    Args:
      registry: the table that the value goes into, by name.
      what: what they are, such as "objective".
      name: what the value is to be called: letters, digits, _ and -.
      value: what goes into the registry.
      maker: the class or function that the value is, or is made by.
      known: that of the value which has the name already, if one has. The same class may come
        again, also newly defined, as when a cell of a notebook runs twice.

    Raises:
      RequestError: the name cannot be one, or another one has it.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise RequestError(
            f"{what} {_origin(maker)} is to be registered under {name!r}: a name is letters, "
            "digits, _ and -, and begins with a letter"
        )
    if name in registry and not _same(maker, known):
        raise RequestError(
            f"{what} {name!r} is {_origin(known)}: register {_origin(maker)} under another name"
        )
    registry[name] = value


def _same(maker: Any, known: Any) -> bool:
    """Whether two makers are one, or the later definition of one in somebody's module."""
    if maker == known:
        return True
    return _origin(maker) == _origin(known) and _origin(maker).split(".")[0] not in _SHIPPED


def _origin(maker: Any) -> str:
    if isinstance(maker, str):
        return maker.replace(":", ".")
    kind = maker if hasattr(maker, "__qualname__") else type(maker)
    return f"{kind.__module__}.{kind.__qualname__}"
