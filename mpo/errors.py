"""The one exception that means: the request was wrong, here is what to write instead."""

import difflib
import errno
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

_OF_THE_PLACE = (
    errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST,
    errno.EROFS, errno.ENAMETOOLONG,
)  # fmt: skip

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class RequestError(ValueError):
    """A request that cannot be carried out as written: an unknown name, a setting out of range.

    Its message is one line that says what is wrong and what to do. The command
    line turns it into exit status 2; nothing has been written when it is raised. What a message
    quotes from a file can neither break the line nor command a terminal.

    Attributes:
      kind: of an unknown name, what it was to be the name of; empty for another fault.
      name: the unknown name itself; empty for another fault.
      known: the names there are.
      suggestion: the one of them that was probably meant.
    """

    kind: str = ""
    name: str = ""
    known: tuple[str, ...] = ()
    suggestion: str | None = None

    def __init__(self, message: str = "") -> None:
        super().__init__(_CONTROL.sub(" ", message))

    def of(self, place: str) -> "RequestError":
        """Return this refusal as one of what is at a place, such as "setting 'schedule'"."""
        error = RequestError(f"{place} is {self}")
        error.kind, error.name = self.kind, self.name
        error.known, error.suggestion = self.known, self.suggestion
        return error


def unknown(kind: str, name: str, known: Iterable[str]) -> RequestError:
    """Build the error for a `name` that is not among the `known` names of its `kind`.

    A name from a file may be any value.
    """
    names = sorted(map(str, known))
    close = difflib.get_close_matches(str(name), names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    error = RequestError(f"unknown {kind} {name!r}: {hint}known are {', '.join(names)}")
    error.kind, error.name, error.known = kind, name, tuple(names)
    error.suggestion = close[0] if close else None
    return error


def cannot_write(path: Path, error: OSError) -> RequestError | None:
    """Build the error for a `path` that was ill chosen; `None` if it is the disk that fails."""
    if error.errno not in _OF_THE_PLACE:
        return None
    return RequestError(
        f"cannot write {path}: {error.strerror}; choose a place that can be written to"
    )


@contextmanager
def place_to_write(path: Path) -> Iterator[None]:
    """Turn a failure to write into a wrong request, where it is `path` that was ill chosen."""
    try:
        yield
    except OSError as error:
        if refused := cannot_write(path, error):
            raise refused from error
        raise
