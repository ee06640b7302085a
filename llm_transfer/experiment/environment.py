"""What is settled before the libraries for language models are used."""

import importlib.util
import os
from typing import Final

from llm_transfer.experiment.settings import TINY
from mpo.errors import RequestError


def cannot_load(what: str, name: str, error: Exception) -> RequestError:
    """Build the error for `what` is called `name`, with the first line of a library's reason."""
    reason = str(error).split("\n", 1)[0]
    return RequestError(f"cannot load {what} {name!r}: {reason}")


NEEDED: Final = ("torch", "transformers", "trl", "datasets", "peft")


def check() -> None:
    """Refuse to go on without the libraries; none is imported.

    Raises:
      RequestError: one is not installed.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise RequestError(
            f"language models need {missing[0]}: pip install 'preference-discovery[llm]'"
        )


def prepare(model: str, data: str) -> None:
    """Keep the libraries from talking, and from the network where nothing is asked of it."""
    if model == data == TINY:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when they are imported
    import datasets
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()
