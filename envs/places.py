"""Where what can be made again is kept between starts; imports nothing that takes time."""

import os
from pathlib import Path

VARIABLE = "DISCOVERY_CACHE"


def cache() -> Path:
    """Return the folder of it: $DISCOVERY_CACHE, or one in the user's cache folder."""
    if own := os.environ.get(VARIABLE):
        return Path(own).expanduser()
    root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(root).expanduser() / "preference-discovery"
