"""Modules of your own, which register tasks, objectives, potentials or kinds of data.

One is imported only where it is asked for: by `discovery --with mine.py …`; by
`plugins = ["mine.py"]` in a description that is carried out, which keeps it for the next time; or
as an installed package that has an entry point of the group `discovery.plugins`. What is read
from a folder, such as the artifact of a run, never imports anything.

A module should only define and register: what it computes when it is imported, JAX computes before
the devices are settled.
"""

import hashlib
import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from mpo.errors import RequestError

GROUP = "discovery.plugins"


def load(names: Iterable[str]) -> None:
    """Import modules, each once in a process: by name, or by the path of a file ending in .py.

    Raises:
      RequestError: there is no such module, or it fails.
    """
    for name in names:
        try:
            if name.endswith(".py"):
                _from_file(Path(name))
            else:
                importlib.import_module(name)
        except RequestError:
            raise
        except Exception as error:
            raise RequestError(f"plugin {name} cannot be imported: {error!r}") from error


def module(path: str) -> ModuleType:
    """Return the module of a file that ends in .py, imported once in a process."""
    return _from_file(Path(path))


def load_installed() -> None:
    """Import the modules of installed packages; one that fails is named, and left out."""
    for entry in importlib.metadata.entry_points(group=GROUP):
        try:
            entry.load()
        except Exception as error:
            print(f"discovery: without plugin {entry.name!r}: {error!r}", file=sys.stderr)


def _from_file(path: Path) -> ModuleType:
    whole = path.resolve()
    if not whole.is_file():
        raise RequestError(f"plugin {path}: no such file")
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
