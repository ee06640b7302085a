"""Runs: one discovery each, in a folder of its own, that survive whatever stops them.

result = runs.discover(config.preset("quick"), Path("runs/quick"))
"""

from discovery.host.stopping import Interrupted
from discovery.runs.discover import discover
from discovery.runs.folder import Folder
from discovery.runs.result import Result, stored

__all__ = ["Folder", "Interrupted", "Result", "discover", "stored"]
