"""The one exception that means: the request was wrong, here is what to write instead."""

import difflib
from collections.abc import Iterable


class RequestError(ValueError):
    """A request that cannot be carried out as written: an unknown name, a setting out of range.

    Its message is one line that says what is wrong and what to do. The command
    line turns it into exit status 2; nothing has been written when it is raised.
    """


def unknown(kind: str, name: str, known: Iterable[str]) -> RequestError:
    """Build the error for a `name` that is not among the `known` names of its `kind`."""
    names = sorted(map(str, known))
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return RequestError(f"unknown {kind} {name!r}: {hint}known are {', '.join(names)}")
