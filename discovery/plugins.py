"""Modules of your own, which register tasks, objectives, potentials or kinds of data.

One is imported only where it is asked for: by `discovery --with mine.py …`; by
`plugins = ["mine.py"]` in a description that is carried out, which keeps it for the next time; or
as an installed package that has an entry point of the group `discovery.plugins`. What is read
from a folder, such as the artifact of a run, never imports anything.

A module should only define and register: what it computes when it is imported, JAX computes before
the devices are settled.
"""

import importlib.metadata
import sys
from collections.abc import Iterable

from mpo import modules

GROUP = "discovery.plugins"


def load(names: Iterable[str]) -> None:
    """Import modules, each once in a process: by name, or by the path of a file ending in .py.

    Raises:
      RequestError: there is no such module, or it fails.
    """
    for name in names:
        modules.module(name, "plugin")


def load_installed() -> None:
    """Import the modules of installed packages; one that fails is named, and left out."""
    for entry in importlib.metadata.entry_points(group=GROUP):
        try:
            entry.load()
        except Exception as error:
            print(f"discovery: without plugin {entry.name!r}: {error!r}", file=sys.stderr)
