"""The policy nearest to independent draws from one distribution, by KL minimisation."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from mpo.policies import MarkovPolicy, TokenPolicy
from mpo.train.optimizer import Optimizer

Params = Any

_STEPS, _BATCH, _RATE = 200, 4, 5e-3


@functools.singledispatch
def nearest(policy: TokenPolicy, probabilities: Float[Array, " V"]) -> Params:
    """Return parameters with π(·|x, y_<t) ≈ p: argmin of Σ_t E[KL(p ‖ π(·|x, y_<t))].

    The divergence of each position is exact; the expectation is over responses
    drawn from p after a uniform context. Deterministic: the random key is fixed.
    """
    return _fit(policy, probabilities, jax.random.key(0))


@nearest.register
def _(policy: MarkovPolicy, probabilities: Float[Array, " V"]) -> Params:
    """Return the minimiser of a table in closed form: log p in every row, divergence 0."""
    return jnp.tile(jnp.log(probabilities), (policy.vocabulary, 1))


def divergence_per_token(
    policy: TokenPolicy,
    params: Params,
    probabilities: Float[Array, " V"],
    key: PRNGKeyArray,
    responses: int,
) -> Float[Array, ""]:
    """Return KL(p ‖ π(·|x, y_<t)) averaged over positions of `responses` draws from p."""
    context_key, token_key = jax.random.split(key)
    context = jax.random.randint(context_key, (responses,), 0, policy.vocabulary, jnp.int32)
    log_p = jnp.log(probabilities)
    tokens = jax.random.categorical(token_key, log_p, shape=(responses, policy.length))
    logits = jax.vmap(policy.logits, in_axes=(None, 0, 0))(params, context, tokens)
    log_ratio = jnp.expand_dims(log_p.astype(logits.dtype), (0, 1)) - jax.nn.log_softmax(logits)
    return jnp.mean(log_ratio @ probabilities.astype(logits.dtype))


@functools.partial(jax.jit, static_argnums=0)
def _fit(policy: TokenPolicy, probabilities: Float[Array, " V"], key: PRNGKeyArray) -> Params:
    optimizer = Optimizer(optax.adam(optax.cosine_decay_schedule(_RATE, _STEPS)))

    def step(carry: Any, key: PRNGKeyArray) -> tuple[Any, None]:
        params, state = carry
        gradient = jax.grad(divergence_per_token, argnums=1)(
            policy, params, probabilities, key, _BATCH
        )
        return optimizer.update(gradient, state, params), None

    init_key, *keys = jax.random.split(key, _STEPS + 1)
    params = policy.init(init_key)
    return jax.lax.scan(step, (params, optimizer.init(params)), jnp.stack(keys))[0][0]
