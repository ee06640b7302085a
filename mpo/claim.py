"""A folder that belongs to a request: the same request goes on in it, any other is refused.

    claim = Claim(folder, "config.json", "run")
    with claim.held(request):  # one process at a time
        ...

A request is a table as JSON has it, kept in a file of the folder.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mpo import treefile
from mpo.errors import RequestError, cannot_write, place_to_write

LOCK: Final = "lock"
"""The file of a folder that is held by the process at work in it."""

Request = Mapping[str, Any]


@dataclass(frozen=True)
class Claim:
    """Whose a folder is.

    Attributes:
      folder: the folder, which need not be there.
      name: of the file in it that says what was requested.
      what: what messages call what the folder holds, such as "run".
      growing: tables of a request that may have further entries later; one that is there stays
        as it is.
      noted: entries of a request that are kept as they first were, and not compared.
    """

    folder: Path
    name: str
    what: str
    growing: tuple[str, ...] = ()
    noted: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The file that says what was requested."""
        return self.folder / self.name

    def read(self) -> dict[str, Any] | None:
        """Return what was requested, or `None` if nothing was.

        Raises:
          RequestError: the file is damaged.
        """
        if not self.path.exists():
            return None
        try:
            request = json.loads(self.path.read_text())
        except (OSError, ValueError, RecursionError) as error:
            raise RequestError(
                f"{self.path} cannot be read ({error}): move {self.folder} away to begin anew"
            ) from error
        tables = [request, *(request.get(name, {}) for name in self.growing)] if request else []
        if not tables or not all(isinstance(table, dict) for table in tables):
            raise RequestError(f"{self.path} is damaged: it describes no {self.what}")
        found: dict[str, Any] = request
        return found

    def check(self, request: Request) -> None:
        """Refuse a folder of another request, or of files that are nobody's; nothing is written."""
        own = {LOCK, treefile.partial(self.path).name}  # what a claim that was killed leaves
        held = self.read()
        if held is None and self.folder.is_dir():
            others = any(file.name not in own for file in self.folder.iterdir())
            held = self.read()  # another process may have made it its own meanwhile
            if others and held is None:
                raise RequestError(
                    f"{self.folder} holds files that are no {self.what}'s: choose another folder"
                )
        if held is not None:
            self.compare(request, held)

    def compare(self, request: Request, held: Request) -> None:
        """Refuse a request that differs from what is held.

        Raises:
          RequestError: it does; the message has a line for each setting.
        """
        if odd := self.changes(request, held):
            raise RequestError(
                f"{self.folder} holds another {self.what} ({'; '.join(odd)}): repeat the request "
                "it was begun with to go on with it, or choose another folder"
            )

    def changes(self, request: Request, held: Request) -> list[str]:
        """Return a line for each setting in which a request differs from what is held."""
        now, then = self._compared(request, held), self._compared(held, request)
        return differences(_plain(now), then)

    def _compared(self, one: Request, other: Request) -> dict[str, Any]:
        """Return what of a request is compared with the other, whose tables may have grown."""
        compared = {name: value for name, value in one.items() if name not in self.noted}
        for name in self.growing:
            own, others = one.get(name, {}), other.get(name, {})
            compared[name] = {entry: value for entry, value in own.items() if entry in others}
        return compared

    def write(self, request: Request) -> dict[str, Any]:
        """Make the folder this request's, and return what it holds then: it may have grown.

        Raises:
          RequestError: it is another's, or cannot be written to.
        """
        held = self.read()
        joined: dict[str, Any] = _plain(request)
        if held is not None:
            self.compare(request, held)
            joined |= {name: held[name] for name in self.noted if name in held}
            for name in self.growing:
                joined[name] = {**held.get(name, {}), **joined.get(name, {})}
        if joined != held:
            with place_to_write(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
                treefile.replace(self.path, (json.dumps(joined, indent=2) + "\n").encode())
        return joined

    @contextmanager
    def held(self, request: Request) -> Iterator[None]:
        """Hold the folder for a request, whose it is already or becomes.

        Raises:
          RequestError: it is another's, another process is at work in it, or it cannot be
            written to.
        """
        with place_to_write(self.folder):
            self.check(request)
        with locked(self.folder):
            self.check(request)  # another process may have been first
            self.write(request)
            yield


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder, if it is not there, and hold it for this process.

    Raises:
      RequestError: another process is at work in it, or it cannot be written to.
    """
    with opened(folder / LOCK) as handle:
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
        try:
            yield
        finally:
            os.ftruncate(handle, 0)


def at_work(folder: Path) -> bool:
    """Return whether a process holds a folder; nothing is written, and none is kept from it."""
    try:
        handle = os.open(folder / LOCK, os.O_RDONLY)
    except OSError:
        return False
    try:
        if _lives(os.pread(handle, 32, 0)):
            return True
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)  # it may be of another machine
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _lives(holder: bytes) -> bool:
    """Return whether the last holder of a lock is a process of this machine."""
    try:
        os.kill(int(holder), 0)
    except PermissionError:
        return True
    except (ValueError, OSError, OverflowError):
        return False
    return True


@contextmanager
def waited_for(lock: Path, hint: str = "") -> Iterator[None]:
    """Hold the file `lock`, once no other process does.

    Raises:
      RequestError: its folder cannot be written to; `hint` says what to do.
    """
    with opened(lock, hint) as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def opened(lock: Path, hint: str = "") -> Iterator[int]:
    """Open a file whose lock is the kernel's: a process that dies, however, gives it back."""
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        if cannot_write(lock.parent, error) is None:
            raise
        advice = hint or "choose a place that can be written to"
        raise RequestError(f"cannot write to {lock.parent}: {error.strerror}; {advice}") from error
    try:
        yield handle
    finally:
        os.close(handle)


def differences(now: Request, before: Request, at: str = "") -> list[str]:
    """Return a line for every setting that differs: `search.sigma: 0.2, was 0.4`."""
    lines = []
    for name in sorted({*now, *before}):
        here, there = now.get(name), before.get(name)
        path = f"{at}{name}"
        if isinstance(here, Mapping) and isinstance(there, Mapping):
            lines += differences(here, there, f"{path}.")
        elif (tables := _numbered(here)) and (others := _numbered(there)):
            lines += differences(tables, others, f"{path}.")
        elif here != there:
            lines.append(f"{path}: {_shown(here)}, was {_shown(there)}")
    return lines


def _numbered(value: Any) -> dict[str, Any]:
    """Return the tables of a list by their number; nothing, if it is no list of tables."""
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        return {}
    return {str(number): one for number, one in enumerate(value)}


def _shown(value: Any) -> str:
    return "left out" if value is None else json.dumps(value, ensure_ascii=False)


def _plain(request: Request) -> dict[str, Any]:
    """Return a request as it is read again: tuples as lists."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(request)))
    return plain
