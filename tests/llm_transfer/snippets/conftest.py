"""Objectives of every kind, each with the formulas and programs they become."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
import pytest

import mpo
from mpo.mirror import Numeric
from mpo.nonnegative import POSITIVITIES
from mpo.objectives import MPO, OBJECTIVES, MPOReference, Objective
from mpo.potentials import (
    BasisPotential,
    Euclidean,
    Log,
    Logit,
    NetworkPotential,
    Tsallis,
)
from mpo.potentials.basis import FUNCTIONS

EVERY = tuple(FUNCTIONS)


def moved(potential, seed):
    """Return the potential somewhere else: as a search would leave it."""
    rng = np.random.default_rng(seed)
    leaves, structure = jax.tree.flatten(potential)
    steps = (0.3 * rng.standard_normal(np.shape(leaf)).astype(np.float32) for leaf in leaves)
    return jax.tree.unflatten(structure, [leaf + s for leaf, s in zip(leaves, steps, strict=True)])


def basis(temporal=False, positive="shifted_log"):
    weights = dict(zip(EVERY, np.linspace(0.1, 0.6, len(EVERY)), strict=True))
    start = BasisPotential.of(weights, library=EVERY, temporal=temporal, positive=positive)
    return moved(start, 1) if temporal else start


def network(role, temporal=False):
    return moved(NetworkPotential.orpo(role, 18, temporal=temporal), len(role))


def _few(positive):
    few = BasisPotential.of({"logit": 1.0, "x": 0.5}, positive=positive)
    return MPO(psi=basis(positive=positive), phi_inv=few)


CASES: dict[str, Callable[[], Objective]] = {
    name: partial(mpo.objective, name) for name, kind in OBJECTIVES.items() if not kind.whole
}
CASES |= {
    "dpo per token": lambda: mpo.objective("dpo", beta=0.3, length_normalise=True),
    "orpo of sums": lambda: mpo.objective("orpo", lam=0.25, length_normalise=False),
    "basis": lambda: MPO(psi=basis(), phi_inv=basis()),
    "basis, temporal": lambda: MPO(psi=basis(temporal=True), phi_inv=basis()),
    "basis, reference": lambda: MPOReference(phi_inv=basis(temporal=True)),
    "networks": lambda: MPO(psi=network("psi"), phi_inv=network("phi_inv")),
    "networks, temporal": lambda: MPO(
        psi=network("psi", temporal=True), phi_inv=network("phi_inv", temporal=True)
    ),
    "network, reference": lambda: MPOReference(phi_inv=network("phi_inv")),
    "named": lambda: MPO(psi=Log(1.5), phi_inv=Tsallis(1.5)),
    "named, numeric": lambda: MPO(psi=Euclidean(0.5), phi_inv=Numeric(Logit())),
}
CASES |= {
    "psi = 0": lambda: MPO(psi=BasisPotential.of({}), phi_inv=basis()),
    "phi_inv = 0": lambda: MPO(psi=basis(), phi_inv=BasisPotential.of({})),
    "phi_inv = 0, temporal": lambda: MPO(
        psi=basis(temporal=True), phi_inv=BasisPotential.of({}, temporal=True)
    ),
}
CASES |= {f"basis, {positive}": partial(_few, positive) for positive in POSITIVITIES}


@pytest.fixture
def cases():
    """Return what makes every objective, by name."""
    return CASES


NOT_OF_EVERY_COMMIT = (
    *("psi = 0", "phi_inv = 0", "phi_inv = 0, temporal", "networks", "network, reference"),
    *(f"basis, {positive}" for positive in POSITIVITIES),
)


def _param(name: str) -> Any:
    return pytest.param(name, marks=pytest.mark.slow if name in NOT_OF_EVERY_COMMIT else ())


@pytest.fixture(params=map(_param, CASES))
def objective(request):
    """Return one objective after another."""
    return CASES[request.param]()


@pytest.fixture
def small_network():
    """Return MPO with two potentials of nine units, all of which act, in the course of time."""
    potentials = {role: network(role, temporal=True) for role in ("psi", "phi_inv")}
    return dataclasses.replace(MPO(), **potentials)
