"""A folder for one process: a second one at work in it is refused."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from mpo.errors import RequestError, cannot_write

LOCK: Final = "lock"
"""The file in the folder that is held."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder, if it is not there, and hold it.

    The lock is the kernel's: a process that dies, however it dies, gives it back.

    Raises:
      RequestError: another process is at work in it, or it cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        if cannot_write(folder, error) is None:
            raise
        raise RequestError(f"cannot write to {folder}: {error.strerror}") from error
    try:
        _hold(handle, folder)
        yield
    finally:
        os.close(handle)


def _hold(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
        raise RequestError(
            f"another process ({holder}) is at work in {folder}: wait for it, stop it, "
            "or choose another folder with --out"
        ) from error
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
