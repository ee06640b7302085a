"""What a refusal says: words of it, or the name that was probably meant.

How a suggestion is worded is for `tests/mpo/test_requests.py` alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from mpo.errors import RequestError


@dataclass(frozen=True)
class Meant:
    """A refusal of an unknown name that suggests another."""

    name: str


@contextmanager
def refusal(about: str | Meant) -> Iterator[pytest.ExceptionInfo[RequestError]]:
    """Expect a refusal whose words match a pattern, or that suggests a name."""
    with pytest.raises(RequestError, match=about if isinstance(about, str) else None) as caught:
        yield caught
    if isinstance(about, Meant):
        assert caught.value.suggestion == about.name
