"""Mirror maps against what is known of them, and Theorem 3.1 against an independent solver."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.flatten_util import ravel_pytree
from scipy import optimize
from scipy.special import log_softmax, softmax, xlogy

import mpo
from mpo.logspace import HEADROOM
from mpo.mirror import MirrorMap, Numeric
from mpo.potentials import Euclidean, Log, Logit, Tsallis

pytestmark = pytest.mark.usefixtures("x64")

NAMED = {
    "dpo": Log(),
    "negative_entropy": Log(shift=1.0),
    "orpo": Logit(),
    "euclidean": Euclidean(),
    "tsallis_half": Tsallis(alpha=0.5),
    "tsallis_three_halves": Tsallis(alpha=1.5),
    "tsallis_two": Tsallis(alpha=2.0),
}
seeds = st.integers(0, 2**32 - 1)


def _learned(kind, seed=0):
    start = mpo.potential(kind, role="phi_inv", **({"units": 18} if kind == "network" else {}))
    vector, rebuild = ravel_pytree(start)
    noise = np.random.default_rng(seed).normal(0, 0.5, vector.size)
    return rebuild(vector + jnp.asarray(noise))


with jax.enable_x64(True):
    LEARNED = {kind: _learned(kind) for kind in ("network", "basis")}
ALL = NAMED | LEARNED
over_all = pytest.mark.parametrize("name", ALL)
over_named = pytest.mark.parametrize("name", NAMED)


def _distribution(seed, actions=4):
    return log_softmax(np.random.default_rng(seed).normal(0, 1.5, actions))


def _complete(potential):
    return mpo.mirror_map(potential).potential


# Compiled once for each kind of potential; a mirror map is a pytree.
_value = jax.jit(lambda mirror, p: mirror.value(p))
_values = jax.jit(lambda mirror, p: jax.vmap(mirror.value)(jnp.log(p)))
_gradient = jax.jit(lambda mirror, p: mirror.gradient(p))
_divergence = jax.jit(lambda mirror, p, q: mirror.divergence(p, q))
_potential = jax.jit(lambda potential, log_x: jax.vmap(potential)(log_x))
_area = jax.jit(lambda potential, a, b: potential.area(a, b))
_phi = jax.jit(lambda potential, y: jax.vmap(potential.phi)(y))


@over_all
def test_phi_inverts_its_inverse_and_increases(name):
    potential = _complete(ALL[name])
    log_x = jnp.linspace(-8, -0.01, 40)
    y = _potential(potential, log_x)
    assert np.all(np.diff(y) > 0)
    np.testing.assert_allclose(_phi(potential, y), jnp.exp(log_x), rtol=1e-9)
    between = jnp.linspace(y[0], y[-1], 40)
    x = _phi(potential, between)
    assert np.all(np.diff(x) > 0)
    np.testing.assert_allclose(_potential(potential, jnp.log(x)), between, rtol=1e-8, atol=1e-9)


@over_named
@given(seed=seeds)
def test_gradient_of_the_mirror_map_against_finite_differences(name, seed):
    mirror = mpo.mirror_map(NAMED[name])
    p = jnp.exp(_distribution(seed))
    moves = jnp.diag(1e-5 * p)
    difference = _values(mirror, p[None] + moves) - _values(mirror, p[None] - moves)
    found = _gradient(mirror, jnp.log(p))
    np.testing.assert_allclose(found, difference / (2e-5 * p), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", LEARNED)
@given(first=seeds, second=seeds)
def test_area_of_a_learned_potential_adds_up_and_has_it_as_its_slope(name, first, second):
    potential = _complete(LEARNED[name])
    (a, b), c = _distribution(first)[:2], _distribution(second)[0]
    whole = _area(potential, a, c)
    np.testing.assert_allclose(_area(potential, a, b) + _area(potential, b, c), whole, atol=1e-3)
    x, step = np.exp(a), 1e-5 * np.exp(a)
    slope = _area(potential, np.log(x - step), np.log(x + step)) / (2 * step)
    np.testing.assert_allclose(potential(jnp.asarray(a)), slope, rtol=1e-5)


@over_named
@given(seed=seeds)
def test_gradient_is_the_derivative_of_the_value(name, seed):
    mirror = mpo.mirror_map(NAMED[name])
    p = jnp.exp(_distribution(seed))
    derivative = jax.grad(lambda p: _value(mirror, jnp.log(p)))(p)
    np.testing.assert_allclose(derivative, _gradient(mirror, jnp.log(p)), rtol=1e-9, atol=1e-9)


# Both sides of where the odds get their headroom, and of one.
AROUND_ONE = np.log([0.99, 1 - 1.1e-3, 1 - 9e-4, 1 - 4e-4, 1 - 1e-5, 1.0, 1 + 1e-5, 1.2, 8.0])


@over_named
def test_the_potential_is_the_slope_of_the_area_around_one_too(name):
    potential = NAMED[name]
    at = jnp.asarray(AROUND_ONE)
    slope = jax.vmap(jax.grad(potential.area, argnums=1), (None, 0))(jnp.asarray(-2.0), at)
    expected = _potential(potential, at)
    np.testing.assert_allclose(slope / jnp.exp(at), expected, rtol=1e-9, atol=1e-9)
    low, high = jnp.asarray(-0.1), jnp.asarray(0.1)
    whole = _area(Numeric(potential, panels=1000), low, high)
    np.testing.assert_allclose(_area(potential, low, high), whole, rtol=1e-6)


@over_named
def test_divergence_is_positive_around_one_too(name):
    mirror = mpo.mirror_map(NAMED[name])
    of_all = jax.vmap(jax.vmap(_divergence, (None, None, 0)), (None, 0, None))
    between = of_all(mirror, AROUND_ONE[:, None], AROUND_ONE[:, None])
    apart = ~np.eye(len(AROUND_ONE), dtype=bool)
    assert np.all(between[apart] > 1e-12)
    assert np.all(np.abs(between[~apart]) < 1e-14)


@over_named
def test_phi_inverts_its_inverse_around_one_too(name):
    y = _potential(NAMED[name], jnp.asarray(AROUND_ONE))
    np.testing.assert_allclose(_phi(NAMED[name], y), np.exp(AROUND_ONE), rtol=1e-9)


@over_all
@given(first=seeds, second=seeds)
def test_divergence_is_positive_and_zero_only_at_equality(name, first, second):
    mirror = mpo.mirror_map(ALL[name])
    p, q = _distribution(first), _distribution(second)
    assert abs(_divergence(mirror, p, p)) < 1e-12
    between = _divergence(mirror, p, q)
    assert between >= 0
    if first != second:
        assert between > 1e-9


@over_all
@given(first=seeds, second=seeds)
def test_divergence_is_what_its_definition_says(name, first, second):
    mirror = mpo.mirror_map(ALL[name])
    p, q = _distribution(first), _distribution(second)
    inner = jnp.sum(_gradient(mirror, q) * (jnp.exp(p) - jnp.exp(q)))
    expected = _value(mirror, p) - _value(mirror, q) - inner
    atol = 1e-10 if name in NAMED else 2e-3
    np.testing.assert_allclose(_divergence(mirror, p, q), expected, atol=atol)


@given(first=seeds, second=seeds)
def test_divergences_of_the_known_maps(first, second):
    log_p, log_q = _distribution(first), _distribution(second)
    p, q = np.exp(log_p), np.exp(log_q)

    def divergence(potential):
        return _divergence(mpo.mirror_map(potential), log_p, log_q)

    kl = np.sum(p * (log_p - log_q))
    np.testing.assert_allclose(divergence(Log()), kl, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(divergence(Log(shift=1.0)), kl, rtol=1e-9, atol=1e-12)
    squared = np.sum((p - q) ** 2)
    np.testing.assert_allclose(divergence(Euclidean(slope=0.5)), squared, rtol=1e-9)
    np.testing.assert_allclose(divergence(Euclidean()), squared / 4, rtol=1e-9)
    np.testing.assert_allclose(divergence(Tsallis(alpha=2.0)), squared / 2, rtol=1e-9)
    bernoulli = np.sum(p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)))
    np.testing.assert_allclose(divergence(Logit()), bernoulli, rtol=1e-8, atol=1e-12)


@given(seed=seeds)
def test_mirror_maps_of_the_known_potentials(seed):
    log_p = _distribution(seed)
    p = np.exp(log_p)

    def value(potential):
        return _value(mpo.mirror_map(potential), log_p)

    # Σ ∫₁^{p_a}: constants and linear terms are those of the integral, as in appendix C.
    np.testing.assert_allclose(value(Log(shift=1.0)), np.sum(p * log_p), rtol=1e-9)
    bernoulli = np.sum(p * log_p + xlogy(1 - p, 1 - p))
    np.testing.assert_allclose(value(Logit()), bernoulli + HEADROOM * p.size, rtol=1e-9)
    np.testing.assert_allclose(value(Euclidean(slope=0.5)), np.sum(p**2) - p.size, rtol=1e-9)


def test_tsallis_tends_to_the_logarithm():
    log_x = jnp.linspace(-5, 0, 11)
    np.testing.assert_allclose(_potential(Tsallis(alpha=1 + 1e-7), log_x), log_x, atol=2e-6)


@over_named
@pytest.mark.parametrize("seed", range(5))
def test_quadrature_and_bisection_agree_with_the_closed_forms(name, seed):
    closed, numeric = NAMED[name], Numeric(NAMED[name])
    a, b = jnp.asarray(np.random.default_rng(seed).uniform(-6, -0.01, 2))
    np.testing.assert_allclose(numeric.area(a, b), closed.area(a, b), rtol=1e-8, atol=1e-10)
    y = closed(a)
    np.testing.assert_allclose(numeric.phi(y), closed.phi(y), rtol=1e-9)


@over_named
def test_the_inverse_by_bisection_has_the_slopes_of_the_closed_form(name):
    potential = NAMED[name]

    def slopes(complete):
        slope = jax.grad(lambda one, y: complete(one).phi(y), argnums=(0, 1))
        return jax.jit(jax.vmap(slope, (None, 0)))(potential, y)

    y = _potential(potential, jnp.asarray([-3.0, -0.4]))
    found, expected = slopes(Numeric), slopes(lambda one: one)
    assert np.all(found[1] > 0)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-7), found, expected)


@pytest.mark.parametrize("name", LEARNED)
@pytest.mark.sweep
def test_the_inverse_of_a_learned_potential_has_its_slopes(name):
    """In every parameter: where the potential rises by a little, φ falls by that over its slope."""
    potential, log_x = LEARNED[name], jnp.asarray(-0.7)
    y = potential(log_x)
    found = jax.jit(jax.grad(lambda one: jnp.log(Numeric(one).phi(y))))(potential)
    rise, steepness = jax.grad(lambda one, at: one(at), argnums=(0, 1))(potential, log_x)
    expected = jax.tree.map(lambda one: -one / steepness, rise)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), found, expected)
    assert any(np.any(leaf != 0) for leaf in jax.tree.leaves(found))


def test_the_entropy_of_a_corner_is_finite():
    corner = jnp.array([0.0, -jnp.inf])
    for name in ("dpo", "negative_entropy", "orpo", "euclidean"):
        assert np.isfinite(mpo.mirror_map(NAMED[name]).value(corner)), name


# Σ_a ∫ φ⁻¹ and φ⁻¹, written again with numpy alone, for the solver below.
INDEPENDENT: dict[str, tuple[Any, Any]] = {
    "dpo": (lambda p: xlogy(p, p) - p, np.log),
    "orpo": (lambda p: xlogy(p, p) + xlogy(1 - p, 1 - p), lambda p: np.log(p / (1 - p))),
    "tsallis_half": (lambda p: -4 * np.sqrt(p) + 2 * p, lambda p: -2 * (p**-0.5 - 1)),
}


@pytest.mark.parametrize("name", INDEPENDENT)
@pytest.mark.parametrize("beta", [0.3, 2.0])
@pytest.mark.parametrize("seed", range(3))
def test_theorem_3_1(name, beta, seed):
    """r = β (φ⁻¹(π*) - φ⁻¹(π_ref)) + c at the optimum π* of E[r] - β D_h(π, π_ref).

    The paper's Eq. 8 has no β: it is there in its own stationarity condition (appendix B)
    and drops out in the line after; Eq. 9 has it again. With it, the identity holds.
    """
    h, gradient = INDEPENDENT[name]
    rng = np.random.default_rng(seed)
    reward = rng.uniform(0, 1, 4)
    reference = softmax(rng.normal(0, 1, 4))

    def loss(logits):
        p = softmax(logits)
        divergence = np.sum(h(p) - h(reference) - gradient(reference) * (p - reference))
        return -(p @ reward - beta * divergence)

    solved = optimize.minimize(
        loss, np.log(reference), method="Nelder-Mead",
        options={"xatol": 1e-10, "fatol": 1e-15, "maxiter": 20000, "maxfev": 20000},
    )  # fmt: skip
    best = jnp.asarray(log_softmax(solved.x))
    potential = NAMED[name]
    implied = jax.vmap(potential)(best) - jax.vmap(potential)(jnp.log(reference))
    constant = reward - beta * np.asarray(implied)
    np.testing.assert_allclose(constant, np.mean(constant), atol=2e-5)
    assert np.ptp(reward) > 0.1  # so that a constant is not what any π would give
    without_beta = reward - np.asarray(implied)
    assert np.ptp(without_beta) > 0.05


def test_a_mirror_map_completes_only_what_needs_it():
    assert isinstance(mpo.mirror_map(Log()).potential, Log)
    assert isinstance(mpo.mirror_map(LEARNED["basis"]).potential, Numeric)
    assert isinstance(mpo.mirror_map(Log()), MirrorMap)
