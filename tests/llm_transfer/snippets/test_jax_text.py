"""The JAX text under JAX's transformations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mpo
from llm_transfer.snippets.dialect import JAX
from llm_transfer.snippets.function import execute, function
from mpo.expressions import expression


@pytest.mark.parametrize("name", ["orpo", "basis, temporal"])
@pytest.mark.sweep
def test_it_is_mapped_differentiated_and_compiled(name, cases):
    objective = cases[name]()
    loss = execute(function(expression(objective), JAX))
    rng = np.random.default_rng(0)
    logp = jnp.asarray(-rng.uniform(5, 60, (2, 6)), jnp.float32)
    length = jnp.asarray(rng.integers(5, 30, (2, 6)), jnp.int32)

    def of_objective(pair, length):
        return objective(mpo.Comparison(logp=pair, length=length), 0.5)

    def of_text(pair, length):
        extra = {} if name == "orpo" else {"progress": 0.5}
        return loss(*pair, *length, **extra)

    for function_ in (lambda f: f, jax.grad):
        found = jax.jit(jax.vmap(function_(of_text), 1))(logp, length)
        expected = jax.vmap(function_(of_objective), 1)(logp, length)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_it_is_computed_in_single_precision_at_least(dtype):
    loss = execute(function(expression(mpo.objective("dpo")), JAX))
    given = [jnp.asarray(value, dtype) for value in (-3.0, -5.0, -4.0, -4.5)]
    value = loss(*given)
    assert value.dtype == jnp.float32
    assert value == loss(*(one.astype(jnp.float32) for one in given))


@pytest.mark.sweep
def test_numbers_that_are_none_are_read_as_the_header_says():
    loss = execute(function(expression(mpo.objective("orpo")), JAX))
    length = jnp.ones(4)
    logp_w = jnp.array([-jnp.inf, jnp.nan, jnp.inf, -2.0])
    values, slopes = jax.vmap(jax.value_and_grad(loss))(logp_w, jnp.full(4, -3.0), length, length)
    assert values[0] == loss(jnp.array(-1e4), jnp.array(-3.0), length[0], length[0])
    assert np.isnan(values).tolist() == [False, True, True, False]
    assert slopes[0] == 0
    assert np.isfinite(slopes[3])
