import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from mpo.logspace import (
    HEADROOM,
    log1mexp,
    log_odds,
    log_positive_part,
    log_probability,
    probability,
)

EXTREMES = (-1e4, -1e3, -100.0, -88.0, -20.0, -1.0, -1e-3, -1e-6, 0.0, 1e-6, 1.0, 10.0)


@pytest.mark.parametrize("log_x", [-700.0, -30.0, -2.0, -0.7, -0.1, -1e-2, -1e-4])
def test_log1mexp_and_log_odds_agree_with_exact_arithmetic(x64, log_x):
    with mpmath.workdps(60):
        x = mpmath.exp(mpmath.mpf(log_x))
        exact = float(mpmath.log(1 - x))
        odds = float(mpmath.mpf(log_x) - mpmath.log(max(1 - x, mpmath.mpf(HEADROOM))))
    np.testing.assert_allclose(log1mexp(jnp.asarray(log_x)), exact, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(log_odds(jnp.asarray(log_x)), odds, rtol=1e-12)


@pytest.mark.parametrize("function", [probability, log_probability, log_odds])
def test_functions_are_finite_and_increase_with_finite_slope(function):
    log_x = jnp.asarray(EXTREMES)
    values, slopes = jax.vmap(jax.value_and_grad(function))(log_x)
    assert np.all(np.isfinite(values))
    assert np.all(np.isfinite(slopes))
    assert np.all(slopes >= 0)
    assert np.all(np.diff(values) >= 0)


def test_log_odds_of_a_density_go_on_with_the_slope_of_the_logarithm():
    assert jax.grad(log_odds)(3.0) == 1.0
    np.testing.assert_allclose(log_odds(jnp.asarray(3.0)), 3.0 - np.log(HEADROOM), rtol=1e-4)


def test_probability_continues_by_its_tangent():
    np.testing.assert_allclose(jax.grad(probability)(jnp.asarray(-1e-6)), 1.0, rtol=1e-5)
    assert jax.grad(probability)(jnp.asarray(1e-6)) == 1.0
    assert jax.grad(probability)(jnp.asarray(0.0)) == 1.0
    np.testing.assert_allclose(jnp.exp(log_probability(jnp.asarray(2.0))), 3.0, rtol=1e-6)


@pytest.mark.parametrize("bias", [-0.5, 0.0, 0.5])
@pytest.mark.parametrize("log_x", [-30.0, -3.0, -0.5, 0.0])
def test_log_positive_part_is_the_floored_logarithm(x64, bias, log_x):
    slope = 0.8
    x = np.exp(log_x)
    expected = np.log(max(slope * x + bias, HEADROOM * slope * x))
    found = log_positive_part(jnp.array([slope]), jnp.asarray(log_x), jnp.array([bias]))
    np.testing.assert_allclose(found[0], expected, rtol=1e-12)


def test_log_positive_part_stays_exact_where_the_probability_underflows():
    at = jnp.asarray(-5000.0)
    slope = jnp.array([2.0])
    np.testing.assert_allclose(
        log_positive_part(slope, at, jnp.zeros(1)), np.log(2.0) - 5000, rtol=1e-6
    )
    np.testing.assert_allclose(log_positive_part(slope, at, jnp.ones(1)), 0.0, atol=1e-6)
    np.testing.assert_allclose(
        log_positive_part(slope, at, -jnp.ones(1)), np.log(2.0 * HEADROOM) - 5000, rtol=1e-6
    )
