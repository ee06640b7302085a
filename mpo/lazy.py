"""Names of a package that are imported when they are asked for, so that a start stays quick."""

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from typing import Any


def attribute(package: str, where: Mapping[str, str], name: str) -> Any:
    """Return a name of a package, and put it where the next request finds it at once.

    Args:
      package: whose `__getattr__` asks.
      where: the module that each public name is in, and after a colon its name there, if that is
        another.
      name: a public name, or a module of the package.

    Raises:
      AttributeError: it is neither.
    """
    if name in where:
        module, _, other = where[name].partition(":")
        value = getattr(importlib.import_module(module), other or name)
    elif not name.startswith("_") and importlib.util.find_spec(f"{package}.{name}"):
        value = importlib.import_module(f"{package}.{name}")
    else:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    setattr(sys.modules[package], name, value)
    return value
