"""How many threads torch uses, for a while."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Let torch use so many threads; 0 leaves it as it is.

    Matrices of a small model are slower on two than on one, and ten times so on a busy machine.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
