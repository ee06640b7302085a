"""What became of a trial of a fault: refused in one line, whole as before, or a surprise."""

import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from mpo.errors import RequestError

SLOW = 60.0
"""Seconds after which an answer is a surprise, whatever it says."""


@dataclass(frozen=True)
class Ended:
    """What became of a trial.

    Attributes:
      how: "refused", "whole", or "surprise".
      said: the refusal, or what the surprise is.
    """

    how: str
    said: str = ""


@dataclass(frozen=True)
class Row:
    """What became of all trials of a fault.

    Attributes:
      fault: what was done.
      promise: what is to come of it.
      trials: how many.
      refused: how many were refused in one line.
      whole: how many ended with what they should have, to the bit.
      surprises: what each of the others did, in a line.
    """

    fault: str
    promise: str
    trials: int
    refused: int
    whole: int
    surprises: tuple[str, ...]

    @staticmethod
    def of(fault: str, promise: str, ends: Iterable[Ended]) -> "Row":
        """Count them."""
        ends = list(ends)
        counts = {how: sum(one.how == how for one in ends) for how in ("refused", "whole")}
        odd = tuple(one.said for one in ends if one.how == "surprise")
        return Row(fault, promise, len(ends), counts["refused"], counts["whole"], odd)


def attempt(act: Callable[[], Any], good: Callable[[Any], bool]) -> Ended:
    """Do something to which a request may be refused.

    Args:
      act: what is tried.
      good: whether what it returned is what it should be.
    """
    began = time.monotonic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = act()
            fine = good(found)
    except RequestError as error:
        ended = refusal(str(error))
    except Exception as error:
        ended = Ended("surprise", f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
    else:
        ended = Ended("whole") if fine else Ended("surprise", "something else came of it")
    if (taken := time.monotonic() - began) > SLOW:
        return Ended("surprise", f"it took {taken:.0f} s")
    return ended


def refusal(said: str) -> Ended:
    """Return how a trial ended that was refused in these words."""
    if said.strip() and "\n" not in said.strip() and "Traceback" not in said:
        return Ended("refused", said)
    return Ended("surprise", f"a refusal of several lines: {said[:200]!r}")


def same(one: Any, other: Any) -> bool:
    """Return whether two trees have the same structure and the same bits."""
    if str(jax.tree.structure(one)) != str(jax.tree.structure(other)):
        return False
    return all(map(_equal, jax.tree.leaves(one), jax.tree.leaves(other)))


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray | jax.Array):
        a, b = np.asarray(one), np.asarray(other)
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return bool(one == other)
