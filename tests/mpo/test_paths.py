import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mpo
from mpo.settings import Range
from mpo.train import Algorithm, hyper

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


ALGORITHM = Algorithm(objective=LEARNED["basis-False"], descent=hyper(learning_rate=0.02))
PATHS = ("objective.lam", "descent.learning_rate", "objective.psi", "descent.max_gradient_norm")


def test_any_setting_is_moved_by_its_path():
    vector, rebuild = mpo.ravel(ALGORITHM, over=PATHS)
    assert vector.shape == (8 + 3,)
    start = rebuild(vector)
    for path in PATHS[:2]:
        np.testing.assert_allclose(mpo.paths.get(start, path), mpo.paths.get(ALGORITHM, path))
    moved = rebuild(vector + 1)
    np.testing.assert_allclose(moved.descent.learning_rate, 0.02 * np.e, rtol=1e-6)
    np.testing.assert_array_equal(moved.objective.psi.weight, ALGORITHM.objective.psi.weight + 1)
    np.testing.assert_array_equal(
        moved.objective.phi_inv.weight, ALGORITHM.objective.phi_inv.weight
    )
    assert moved.descent.batch == ALGORITHM.descent.batch
    again, _ = mpo.ravel(ALGORITHM, over=PATHS[::-1])
    np.testing.assert_array_equal(again, vector, err_msg="the order of the paths says nothing")
    np.testing.assert_allclose(mpo.ravel(moved, over=PATHS)[0], vector + 1, atol=1e-5)


@given(
    bounds=st.sampled_from(
        [{"above": 0.0}, {"at_least": 0.0}, {"at_least": 0.0, "at_most": 0.5}, {"below": 2.0}, {},
         {"above": -1.0, "below": 1.0}, {"at_most": 1.0}]
    ),
    free=st.floats(-6, 6, width=32),
)  # fmt: skip
def test_whatever_the_free_number_the_setting_is_in_its_range(bounds, free):
    extent = Range(**bounds)
    value = float(extent.value(jnp.float32(free)))
    assert extent.complaint(value) is None
    again = float(extent.value(extent.free(value)))
    np.testing.assert_allclose(again, value, rtol=1e-4, atol=1e-5)
    more = float(extent.value(jnp.float32(free + 0.5)))
    assert more >= value


@pytest.mark.parametrize("value", [0.0, 0.3])
def test_a_setting_that_may_be_zero_starts_there_exactly(value):
    objective = mpo.objective("orpo", lam=value)
    vector, rebuild = mpo.ravel(objective, over=("lam",))
    np.testing.assert_allclose(rebuild(vector).lam, value, rtol=1e-6)
    assert rebuild(vector + 0.1).lam > value


@pytest.mark.parametrize(
    ("over", "says"),
    [
        (("objective.lamb",), "'lam'"),
        (("descent.batch",), "no number that can be moved"),
        (("descent.weight_decay",), "is not set"),
        (("objective.psi", "objective.psi.weight"), "part of"),
        (("objective.lam", "objective.lam"), "twice"),
    ],
)
def test_what_cannot_be_moved_is_refused(over, says):
    with pytest.raises(mpo.RequestError, match=says):
        mpo.ravel(ALGORITHM, over=over)


def test_a_population_of_algorithms_is_a_vmap():
    vector, rebuild = mpo.ravel(ALGORITHM, over=PATHS)
    stack = jax.vmap(rebuild)(vector[None] + jnp.arange(3.0)[:, None])
    assert stack.descent.learning_rate.shape == stack.objective.lam.shape == (3,)
    assert stack.objective.psi.weight.shape == (3, 8)
    same = mpo.train.stacked([rebuild(vector + step) for step in range(3)])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), stack, same)


def test_values_of_paths_that_it_has_not_are_left_out() -> None:
    base = Algorithm(objective=mpo.objective("dpo"))
    moved = mpo.paths.put_known(base, {"objective.beta": 0.5, "descent.slope.epsilon": 2.0})
    assert moved == mpo.paths.put(base, "objective.beta", 0.5)
