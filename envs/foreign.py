"""Other people's environments: loaded and traced under the rules of jax they were made for."""

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

import jax

_ALONE = threading.RLock()


@contextmanager
def foreign() -> Iterator[None]:
    """Load or trace brax or its like: under jax's own promotion rules, whatever ours are, silently.

    Brax warns of its maintenance mode and its dependencies' deprecations, and
    prints that warp, which is optional, is missing. One thread at a time is let in, for
    what is printed and warned of is caught for all of them.
    """
    with (
        _ALONE,
        jax.numpy_rank_promotion("allow"),
        jax.numpy_dtype_promotion("standard"),
        warnings.catch_warnings(),
        redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield
