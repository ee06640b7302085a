"""What follows from the installed code alone, kept between starts: a second one needs no JAX."""

import hashlib
import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import discovery
import envs
import mpo
from envs import places

V = TypeVar("V")


def remembered(what: str, make: Callable[[], V]) -> V:
    """Return what an earlier start made of the same code, or else what is made now.

    A cache that can't be read or written, or that was damaged, costs a second and nothing else.

    Args:
      what: it is; the name of a file in the cache.
      make: returns it: a value that JSON can hold.
    """
    code = _code()
    with suppress(OSError, RuntimeError, ValueError, TypeError, KeyError):
        kept = json.loads(_place(what).read_bytes())
        if kept["code"] == code:
            value: V = kept["value"]
            return value
    value = make()
    with suppress(OSError, RuntimeError):
        place = _place(what)
        place.parent.mkdir(parents=True, exist_ok=True)
        new = place.with_name(f".{what}.{os.getpid()}.partial")
        new.write_text(json.dumps({"code": code, "value": value}), encoding="utf-8")
        new.replace(place)
    return value


def _place(what: str) -> Path:
    return places.cache() / "remembered" / f"{what}.json"


def _code() -> str:
    """Return what changes with every file of the packages."""
    seen = hashlib.sha256(sys.version.encode())
    for package in (mpo, envs, discovery):
        for folder, _, files in sorted(os.walk(package.__path__[0])):
            if folder.endswith("__pycache__"):
                continue
            for name in sorted(files):
                path = os.path.join(folder, name)
                about = os.stat(path)
                seen.update(f"{path} {about.st_mtime_ns} {about.st_size}\n".encode())
    return seen.hexdigest()
