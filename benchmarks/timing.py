"""What `discovery bench` times by, for the commands in this folder."""

from discovery.bench import machine as machines
from discovery.bench.timing import Timing, compare

__all__ = ["Timing", "compare", "machine"]


def machine() -> str:
    """Return what the figures were measured on, in a line."""
    return str(machines.machine())
