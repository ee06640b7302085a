"""From a minibatch of responses to comparisons: log-probabilities under a policy."""

from functools import partial
from typing import Any

import chex
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mpo.comparison import Comparison
from mpo.train.source import Batch, Policy


def log_probs(policy: Policy, params: Any, batch: Batch) -> Float[Array, "B K"]:
    """Return the log-probability of each response, summed over the steps that count.

    A narrow float is summed in single precision, in which a thousand steps can be counted.
    What stands in the steps that do not count, were it NaN, changes nothing: neither the
    sums nor their gradient.
    """
    chex.assert_equal_shape_prefix((batch.mask, batch.outputs), batch.mask.ndim)
    outputs = where_it_counts(batch.mask, batch.outputs)
    if jnp.issubdtype(batch.inputs.dtype, jnp.floating):
        inputs = where_it_counts(batch.mask, batch.inputs)
        steps = _memoryless(policy, params, inputs, outputs, batch.mask.ndim)
    else:
        one = partial(policy.log_prob, params)
        steps = jax.vmap(jax.vmap(one))(batch.inputs, outputs)
    with jax.numpy_dtype_promotion("standard"):
        dtype = jnp.promote_types(steps.dtype, jnp.float32)
    return jnp.sum(jnp.where(batch.mask, steps, jnp.zeros_like(steps)), axis=-1, dtype=dtype)


def comparisons(
    policy: Policy, params: Any, batch: Batch, ref_logp: Float[Array, "B K"] | None
) -> Comparison:
    """Return the comparisons of a minibatch, a `Comparison` with arrays [B, K]."""
    logp = log_probs(policy, params, batch)
    return Comparison(
        logp=logp,
        length=batch.length.astype(logp.dtype),
        ref_logp=ref_logp,
        reward=batch.reward,
        sampled_logp=batch.sampled_logp,
        credit=batch.credit,
    )


def _memoryless(policy: Policy, params: Any, inputs: Array, outputs: Array, axes: int) -> Array:
    """Return the log-probability of each step, all responses being taken for one long one.

    With an input for every step, no step depends on another; and products of matrices
    without further axes are a quarter faster on CPU.
    """
    shape = outputs.shape[:axes]
    flat = [values.reshape(-1, *values.shape[axes:]) for values in (inputs, outputs)]
    return policy.log_prob(params, *flat).reshape(shape)


def where_it_counts(mask: Array, values: Array) -> Array:
    """Return the values with zeros in the steps that do not count, whatever stands there."""
    mask = mask.reshape(mask.shape + (1,) * (values.ndim - mask.ndim))
    return jnp.where(mask, values, jnp.zeros_like(values))
