"""What could not be loaded, in a line."""

from mpo.errors import RequestError


def cannot_load(what: str, name: str, error: Exception) -> RequestError:
    """Build the error for `what` is called `name`, with the first line of a library's reason."""
    reason = str(error).split("\n", 1)[0]
    return RequestError(f"cannot load {what} {name!r}: {reason}")
