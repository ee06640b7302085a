"""A training that one can write down: chosen responses become likelier, rejected ones less so."""

import numpy as np
import pytest

from discovery.evidence.trajectory import Trajectory


def walk(chosen=-2.5, rejected=-2.5, drift=1.0, spread=0.4):
    """Return 8 moments of 64 comparisons around these log-probabilities."""
    rng, t = np.random.default_rng(0), np.linspace(0, 1, 8, dtype=np.float32)
    noise = spread * rng.normal(size=(2, 8, 64))
    sides = [chosen + 1.5 * drift * t[:, None], rejected - 0.5 * drift * t[:, None]]
    high, low = (
        np.minimum(a + n, -0.02).astype(np.float32) for a, n in zip(sides, noise, strict=True)
    )
    return Trajectory(t, high, low)


@pytest.fixture(scope="session")
def training():
    return walk()
