"""Python from outside, imported where it is asked for and not before: yours, or of an extra."""

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from mpo.errors import RequestError


def from_file(path: Path, what: str) -> ModuleType:
    """Return the module of a file that ends in .py, imported once in a process.

    Raises:
      RequestError: there is no such file; what the module itself raises is raised as it is.
    """
    whole = path.resolve()
    if not whole.is_file():
        raise RequestError(f"{what} {path}: no such file")
    name = f"plugin_{whole.stem}_{hashlib.sha256(str(whole).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, whole)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look for what annotations name
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def module(name: str, what: str) -> ModuleType:
    """Return a module by its name, or by the path of a file that ends in .py.

    Args:
      name: of the module.
      what: it is for, which messages begin with.

    Raises:
      RequestError: there is no such module, or it fails.
    """
    try:
        if name.endswith(".py"):
            return from_file(Path(name), what)
        return importlib.import_module(name)
    except RequestError:
        raise
    except Exception as error:
        raise RequestError(f"{what} {name} cannot be imported: {error!r}") from error


def function(place: str, what: str) -> Callable[..., Any]:
    """Return a function by its place, "FILE.py:NAME" or "MODULE:NAME".

    Raises:
      RequestError: its module cannot be imported, or has no such function.
    """
    where, _, name = place.rpartition(":")
    found = getattr(module(where, what), name, None)
    if not callable(found):
        raise RequestError(f"{what}: {where} has no function {name!r}")
    return found


def extra(name: str, group: str, what: str) -> ModuleType:
    """Return a module that comes with an extra of this package.

    Args:
      name: of the module.
      group: the extra.
      what: needs it, such as "a parquet file".

    Raises:
      RequestError: it is not installed; the message says how to have it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise RequestError(
            f"{what} needs the module {name!r}: pip install 'preference-discovery[{group}]'"
        ) from error
