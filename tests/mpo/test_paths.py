import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mpo

PAIR = mpo.Comparison(logp=jnp.array([-1.0, -2.0]), length=jnp.array([3, 4]))
LEARNED = {
    f"{kind}-{temporal}": mpo.objective(
        "mpo",
        lam=0.5,
        psi=mpo.potential(kind, role="psi", temporal=temporal),
        phi_inv=mpo.potential(kind, role="phi_inv", temporal=temporal),
    )
    for kind in ("network", "basis")
    for temporal in (False, True)
}
SIZES = {"network-False": 758, "network-True": 1010, "basis-False": 16, "basis-True": 32}


@pytest.mark.parametrize("name", LEARNED)
def test_ravel_and_back_is_the_same_objective(name):
    objective = LEARNED[name]
    vector, rebuild = mpo.ravel(objective)
    assert vector.shape == (SIZES[name],)
    assert vector.dtype == jnp.float32
    jax.tree.map(np.testing.assert_array_equal, rebuild(vector), objective)
    moved = rebuild(vector + 1)
    assert moved.lam == 0.5
    assert moved(PAIR) != objective(PAIR)
    np.testing.assert_array_equal(mpo.ravel(moved)[0], vector + 1)


@pytest.mark.parametrize("name", LEARNED)
def test_a_population_is_a_vmap_over_vectors(name):
    vector, rebuild = mpo.ravel(LEARNED[name])
    noise = np.random.default_rng(0).normal(0, 0.4, (5, vector.size)).astype(np.float32)
    losses = jax.jit(jax.vmap(lambda z: rebuild(z)(PAIR, 0.3)))(vector[None] + noise)
    for loss, row in zip(losses, noise, strict=True):
        np.testing.assert_allclose(loss, rebuild(vector + row)(PAIR, 0.3), rtol=1e-5)
    assert np.ptp(losses) > 0


@pytest.mark.parametrize("name", ["orpo", "closed_form", "mpo_ref"])
def test_an_objective_without_learned_potentials_has_nothing_to_search(name):
    objective = mpo.objective(name)
    if name == "mpo_ref":  # its potential has a shift, which is a number like any other
        assert mpo.ravel(objective)[0].size == 1
        return
    with pytest.raises(mpo.RequestError, match="nothing to search"):
        mpo.ravel(objective)
