"""Points of the wide family, and what a search leaves of them, as text with its proof."""

import jax.numpy as jnp
import numpy as np
import pytest

import mpo
from llm_transfer.snippets.exporting import exported
from mpo.objectives.points import point

FREE = ("psi", "phi_inv", "link")


@pytest.mark.parametrize("name", ["kto_pair", "rpo_fwd", "unlikelihood", "ta_mpo"])
@pytest.mark.sweep
def test_a_point_is_exported_with_its_proof(name):
    """One with a bar, one of distances, one of all responses, one that changes with time."""
    assert len(exported(point(mpo.objective(name)), "jax").parity) == 2


@pytest.mark.slow
def test_what_a_search_leaves_is_exported_with_its_proof():
    start = point(mpo.objective("robust_dpo"), free=FREE, temporal=True)
    over = ("imitation", "lam", "beta", "gamma", "noise", "gate", "fade", "rise", "turn", "anchor",
            "spread", "kappa", "psi_free", "phi_inv_free", "link_free")  # fmt: skip
    zeta, rebuild = mpo.ravel(start, over=over)
    steps = np.random.default_rng(1).normal(0, 0.4, zeta.shape)
    found = exported(rebuild(zeta + jnp.asarray(steps, zeta.dtype)), "jax")
    assert {"noise", "gate", "turn", "kappa", "anchor"} <= {*found.formula.constants}
    assert "def link_free(margin" in found.text
