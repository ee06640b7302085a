"""Where randomness comes from: each purpose has streams of its own, so that none sees another's."""

from enum import IntEnum

import jax
from jaxtyping import PRNGKeyArray

from discovery.config.sections import SEEDS
from mpo.errors import RequestError


class Purpose(IntEnum):
    """What a seed is used for. What an objective is judged by never took part in finding it."""

    DISCOVERY = 0
    SELECTION = 1
    EVALUATION = 2
    TUNING = 3
    SEALED = 4


def key(purpose: Purpose, seed: int) -> PRNGKeyArray:
    """Return the key of a purpose under a seed in [0, 2²⁰)."""
    return jax.random.fold_in(jax.random.key(checked_seed(seed)), purpose)


def data_seed(purpose: Purpose, seed: int) -> int:
    """Return the seed of the dataset that stands for dataset `seed` where this is the purpose.

    Candidates are selected on the data they were found on, with other agents and episodes.
    """
    source = Purpose.DISCOVERY if purpose is Purpose.SELECTION else purpose
    return int(source) * SEEDS + checked_seed(seed)


def checked_seed(seed: int) -> int:
    """Return the seed, or say that it has no streams."""
    if not 0 <= seed < SEEDS:
        raise RequestError(f"the seed must be in [0, {SEEDS}), not {seed}")
    return seed
