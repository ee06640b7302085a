"""Stopping where nothing is lost: Ctrl-C and SIGTERM become a question the work asks itself."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

Stop = Callable[[], bool]
"""Asked where the work could end: whether it is to."""


class Interrupted(Exception):
    """The work stopped because it was asked to; everything it did is saved."""


@contextmanager
def asked_to_stop() -> Iterator[Stop]:
    """Give a function that returns whether Ctrl-C or SIGTERM came; a second one interrupts."""
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    try:
        before = {n: signal.signal(n, note) for n in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: whoever owns it decides
        yield lambda: False
        return
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
