# mypy: ignore-errors
"""Empty modules in place of those that want CUDA or a cluster, which are imported and not used."""

import importlib.abc
import importlib.machinery
import sys
from unittest.mock import MagicMock


class _Empty(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, names):
        self.names = names

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in self.names:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        module = MagicMock(name=spec.name)
        module.__path__, module.__spec__ = [], spec
        return module

    def exec_module(self, module):
        pass


def let_be_empty(*names):
    """Find modules of these names, where they are not installed, with whatever is asked of them."""
    sys.meta_path.append(_Empty(names))
