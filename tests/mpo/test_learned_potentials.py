"""Guarantees that hold for every parameter vector, of the network and the basis alike."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.flatten_util import ravel_pytree

import mpo
from mpo.logspace import log_odds
from mpo.nonnegative import POSITIVITIES
from mpo.potentials import ACTIVATIONS, FUNCTIONS, BasisPotential, NetworkPotential
from tests.refusals import Meant, refusal

KINDS = {"network": {"units": 18}, "basis": {}}
ROLES = {"psi": lambda log_x: log_x, "phi_inv": log_odds}
# From a 1,000-step response to a density, with the places where branches meet.
LOG_X = np.unique(
    np.concatenate(
        [
            -np.geomspace(1e4, 1e-6, 60),
            np.linspace(-3, 3, 61),
            np.geomspace(1e-6, 10, 30),
            [-60.0, np.log1p(-1e-3), np.log(0.5), 0.0],
        ]
    )
).astype(np.float32)

everywhere = pytest.mark.parametrize(
    ("kind", "role", "temporal", "positive"),
    [(k, r, t, "shifted_log") for k in KINDS for r in ROLES for t in (False, True)]
    + [(k, "phi_inv", True, p) for k in KINDS for p in ("exp", "softplus")],
)


@jax.jit
def _curve(potential, progress):
    return jax.vmap(jax.value_and_grad(lambda log_x: potential(log_x, progress)))(LOG_X)


def _drawn(kind, role, temporal, positive, seed, scale):
    start = mpo.potential(kind, role=role, temporal=temporal, positive=positive, **KINDS[kind])
    vector, rebuild = ravel_pytree(start)
    noise = np.random.default_rng(seed).standard_normal(vector.size).astype(np.float32)
    return rebuild(jnp.asarray(noise * np.float32(scale)))


@everywhere
@given(
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from((0.01, 0.3, 1.0, 3.0)),
    progress=st.floats(0, 1, width=32),
)
@pytest.mark.sweep
def test_increasing_and_finite_for_every_parameter_vector(
    kind, role, temporal, positive, seed, scale, progress
):
    potential = _drawn(kind, role, temporal, positive, seed, scale)
    values, slopes = _curve(potential, progress)
    assert np.all(np.isfinite(values))
    assert np.all(np.isfinite(slopes))
    rounding = _rounding(potential)
    assert np.all(np.asarray(slopes) >= -rounding)
    largest = 10 + np.abs(LOG_X[1:])  # of a unit that may cancel against another
    assert np.all(np.diff(values) >= -rounding * largest - 4e-6 * np.abs(values[1:]))


def _rounding(potential):
    """A few float32 units in the last place of the largest term that may cancel."""
    if isinstance(potential, BasisPotential):
        return 0.0
    weights = POSITIVITIES[potential.positive].weight(potential.output)
    return 4e-7 * float(jnp.sum(weights) / weights.shape[1])


@pytest.mark.parametrize("positive", ["shifted_log", "exp"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fill", [-8.0, 0.0, 8.0])
def test_extreme_constant_parameters_stay_finite(kind, positive, fill):
    start = mpo.potential(kind, role="phi_inv", temporal=True, positive=positive, **KINDS[kind])
    potential = jax.tree.map(lambda leaf: jnp.full_like(leaf, fill), start)
    values, slopes = _curve(potential, 0.5)
    assert np.all(np.isfinite(values))
    assert np.all(np.isfinite(slopes))
    assert np.all(np.asarray(slopes) >= -_rounding(potential))


@everywhere
@pytest.mark.parametrize("progress", [0.0, 0.4, 1.0])
def test_orpo_is_recovered_to_float_precision(kind, role, temporal, positive, progress):
    start = mpo.potential(kind, role=role, temporal=temporal, positive=positive, **KINDS[kind])
    # Past x = 1 the network's own growth (cubes, exponentials) would magnify the 1e-12 that
    # stands for zero in the parametrisations that cannot reach it.
    values, slopes = _curve(start, progress)
    inside = LOG_X <= 0
    exact, exact_slopes = jax.vmap(jax.value_and_grad(ROLES[role]))(LOG_X)
    np.testing.assert_allclose(values[inside], exact[inside], rtol=3e-7, atol=3e-7)
    np.testing.assert_allclose(slopes[inside], exact_slopes[inside], rtol=3e-7, atol=1e-6)
    if positive == "shifted_log":
        np.testing.assert_allclose(values, exact, rtol=3e-7, atol=3e-7)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_static_potential_ignores_progress_and_a_temporal_one_does_not(kind, role):
    at = jnp.asarray(-0.7)
    static = _drawn(kind, role, False, "shifted_log", 3, 1.0)
    temporal = _drawn(kind, role, True, "shifted_log", 3, 1.0)
    assert static(at, 0.0) == static(at, 1.0)
    assert temporal(at, 0.0) != temporal(at, 1.0)


def test_network_agrees_with_the_formula_of_the_paper(x64):
    """The units written as the paper writes them, from s, v and b, on a probability."""
    role, t = "phi_inv", 0.3
    network = mpo.potential("network", role=role, units=27, temporal=True, positive="exp")
    vector, rebuild = ravel_pytree(network)
    network = rebuild(jnp.asarray(np.random.default_rng(0).normal(0, 0.5, vector.size)))
    s, b, w = np.exp(network.slope), np.asarray(network.bias), np.exp(network.output)
    v = np.exp(network.slope_end) - s
    assert np.all(v >= -s)
    for x in (0.05, 0.4, 0.9):
        u = s * x + v * (x * t) + b
        # (u)₊ under a root or logarithm has its documented floor, 1 - u its headroom.
        floored = np.maximum(u, 1e-3 * (s + v * t) * x)
        hidden = np.stack(
            [
                u[0],
                np.maximum(u[1], 0) ** 2,
                u[2] ** 3,
                np.exp(u[3]),
                np.tanh(u[4]),
                floored[5] ** (1 / 2),
                floored[6] ** (1 / 3),
                np.log(floored[7]),
                np.log(floored[8] / np.maximum(1 - floored[8], 1e-3)),
            ]
        )
        expected = np.sum(w * hidden) / 3 + np.exp(network.skip) * np.log(x / (1 - x))
        np.testing.assert_allclose(network(jnp.log(jnp.asarray(x)), t), expected, rtol=1e-5)


def test_units_are_shared_equally_and_widths_checked():
    assert len(ACTIVATIONS) == 9
    paper = NetworkPotential.orpo("psi", temporal=True)
    assert paper.slope.shape == (9, 14)
    assert ravel_pytree(paper)[0].size == 126 * 4 + 1
    assert ravel_pytree(NetworkPotential.orpo("psi", units=9))[0].size == 9 * 3 + 1
    for units in (0, -9, 10, 128):
        with pytest.raises(mpo.RequestError, match="multiple of 9"):
            NetworkPotential.orpo("psi", units=units)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_basis_function_increases(name):
    values, slopes = jax.vmap(jax.value_and_grad(FUNCTIONS[name]))(LOG_X)
    assert np.all(np.isfinite(values))
    assert np.all(np.asarray(slopes) >= 0)
    assert np.all(np.diff(values) >= -4e-6 * np.maximum(1, np.abs(values[1:])))
    assert np.max(slopes) > 0


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_slope_of_every_basis_function_is_continuous_through_certainty(name, x64):
    """A response that a policy is sure of has log x = 0 exactly."""
    around = jnp.array([-1e-9, 0.0, 1e-9])
    slopes = jax.vmap(jax.grad(FUNCTIONS[name]))(around)
    np.testing.assert_allclose(slopes, slopes[1], rtol=1e-7, atol=2e-9)


def test_basis_is_the_combination_it_says_and_reports_wrong_requests():
    potential = BasisPotential.of({"log": 0.3, "sigmoid": 2.0})
    at = jnp.asarray(-1.5)
    np.testing.assert_allclose(potential(at), 0.3 * -1.5 + 2 * jax.nn.sigmoid(-1.5), rtol=1e-6)
    np.testing.assert_allclose(potential.weights()[0], 0.3, rtol=1e-6)
    with refusal(Meant("logit")):
        BasisPotential.of({"logits": 1.0})
    with pytest.raises(mpo.RequestError, match="≥ 0"):
        BasisPotential.of({"log": -1.0})
    with pytest.raises(mpo.RequestError, match="basis function"):
        BasisPotential.of({}, library=("log", "sine"))
    with pytest.raises(mpo.RequestError, match="role"):
        BasisPotential.orpo("phi")


def test_temporal_basis_moves_linearly_between_its_ends():
    potential = BasisPotential.of({"log": 1.0}, temporal=True)
    end = potential.weight_end.at[0].set(np.log1p(3.0 / 0.1))
    potential = BasisPotential(potential.weight, end, potential.library, potential.positive)
    np.testing.assert_allclose(potential.weights(0.0)[0], 1.0, rtol=1e-6)
    np.testing.assert_allclose(potential.weights(0.25)[0], 1.5, rtol=1e-6)
    np.testing.assert_allclose(potential.weights(1.0)[0], 3.0, rtol=1e-6)


@pytest.mark.parametrize("name", POSITIVITIES)
def test_positivities_invert_and_never_go_negative(name):
    positivity = POSITIVITIES[name]
    weights = np.array([0.0, 1e-3, 0.1, 1.0, 9.0])
    back = positivity.weight(jnp.asarray(positivity.parameter(weights), jnp.float32))
    np.testing.assert_allclose(back, weights, rtol=2e-4, atol=1e-6)
    assert np.all(np.asarray(positivity.weight(jnp.linspace(-50, 50, 101))) >= 0)


def test_a_bounded_weight_stays_below_its_bound_and_refuses_more():
    bounded = POSITIVITIES["bounded_log"]
    np.testing.assert_array_equal(bounded.weight(jnp.array([-5.0, 0.0, 6.0, 1e4])), [0, 0, 10, 10])
    with pytest.raises(mpo.RequestError, match="up to 10, not 30"):
        bounded.parameter(np.array([1.0, 30.0]))


def test_one_of_two_antithetic_steps_leaves_orpo():
    """Where a search starts, a parametrisation symmetric about zero would show it no slope."""
    weight = POSITIVITIES["shifted_log"].weight
    assert weight(jnp.asarray(0.4)) > 0.04
    assert weight(jnp.asarray(-0.4)) == 0
