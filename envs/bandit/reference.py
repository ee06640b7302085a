"""Distributions over tokens: the Cauchy reference of the bandit, and its improvements."""

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

Vector = Float[np.ndarray, " V"]

_SAMPLES = 10_000
_LOCATION, _SCALE = -0.7, 0.4

SQUASH: Mapping[str, Callable[[np.ndarray], np.ndarray]] = MappingProxyType(
    {"clip": lambda x: np.clip(x, -1.0, 1.0), "tanh": np.tanh}
)
"""How Cauchy samples come into [-1, 1]: the paper's text clips them, its code takes tanh."""


@functools.cache
def cauchy_bins(vocabulary: int, squash: str) -> Vector:
    """Return π_ref(a): how often 10,000 samples of Cauchy(-0.7, 0.4) fall into bin a of [-1, 1].

    The samples are fixed, by inverting the distribution function at a seeded
    uniform stream. A bin that none fell into counts as half a sample, so that
    log π_ref is finite everywhere.
    """
    uniform = np.random.default_rng(0).random(_SAMPLES)
    samples = SQUASH[squash](_LOCATION + _SCALE * np.tan(np.pi * (uniform - 0.5)))
    counts, _ = np.histogram(samples, bins=vocabulary, range=(-1.0, 1.0))
    filled = np.maximum(counts, 0.5)
    return filled / filled.sum()


def tilted(probabilities: Vector, reward: Vector, target: float) -> Vector:
    """Return p(a) e^{λ reward(a)} / Z with λ ≥ 0 such that its expected reward is `target`.

    It maximises E[reward] − KL(· ‖ p) / λ: of all distributions with that expected
    reward, the nearest to `probabilities`. `target` lies from that of
    `probabilities` to below the greatest reward.
    """
    low, high = 0.0, 1.0
    while _expected(probabilities, reward, high) < target:
        low, high = high, 2.0 * high
    for _ in range(100):
        middle = 0.5 * (low + high)
        below = _expected(probabilities, reward, middle) < target
        low, high = (middle, high) if below else (low, middle)
    return _tilt(probabilities, reward, high)


def _expected(probabilities: Vector, reward: Vector, strength: float) -> float:
    return float(_tilt(probabilities, reward, strength) @ reward)


def _tilt(probabilities: Vector, reward: Vector, strength: float) -> Vector:
    weights = probabilities * np.exp(strength * (reward - reward.max()))
    return weights / weights.sum()
