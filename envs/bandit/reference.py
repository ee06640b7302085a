"""The reference policy of the token bandit, better ones, and the policies nearest to them."""

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from mpo.policies import MarkovPolicy, PositionsPolicy, TokenPolicy
from mpo.train.descent import Optimizer

Vector = Float[np.ndarray, " V"]

_SAMPLES = 10_000
_LOCATION, _SCALE = -0.7, 0.4

SQUASH: Mapping[str, Callable[[np.ndarray], np.ndarray]] = MappingProxyType(
    {"clip": lambda x: np.clip(x, -1.0, 1.0), "tanh": np.tanh}
)
"""How Cauchy samples come into [-1, 1]: the paper's text clips them, its code takes tanh."""


@functools.cache
def cauchy_bins(vocabulary: int, squash: str) -> Vector:
    """Return π_ref(a): how often 10,000 samples of Cauchy(-0.7, 0.4) fall into bin a of [-1, 1].

    The samples are fixed, by inverting the distribution function at a seeded
    uniform stream. A bin that none fell into counts as half a sample, so that
    log π_ref is finite everywhere.
    """
    uniform = np.random.default_rng(0).random(_SAMPLES)
    samples = SQUASH[squash](_LOCATION + _SCALE * np.tan(np.pi * (uniform - 0.5)))
    counts, _ = np.histogram(samples, bins=vocabulary, range=(-1.0, 1.0))
    filled = np.maximum(counts, 0.5)
    return filled / filled.sum()


def tilted(probabilities: Vector, reward: Vector, target: float) -> Vector:
    """Return p(a) e^{λ reward(a)} / Z with λ ≥ 0 such that its expected reward is `target`.

    It maximises E[reward] − KL(· ‖ p) / λ: of all distributions with that expected
    reward, the nearest to `probabilities`. `target` lies from that of
    `probabilities` to below the greatest reward.
    """
    low, high = 0.0, 1.0
    while _expected(probabilities, reward, high) < target:
        low, high = high, 2.0 * high
    for _ in range(100):
        middle = 0.5 * (low + high)
        below = _expected(probabilities, reward, middle) < target
        low, high = (middle, high) if below else (low, middle)
    return _tilt(probabilities, reward, high)


def _expected(probabilities: Vector, reward: Vector, strength: float) -> float:
    return float(_tilt(probabilities, reward, strength) @ reward)


def _tilt(probabilities: Vector, reward: Vector, strength: float) -> Vector:
    weights = probabilities * np.exp(strength * (reward - reward.max()))
    return weights / weights.sum()


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


@nearest.register
def _(policy: PositionsPolicy, probabilities: Float[Array, " V"]) -> Params:
    """Return log p in every row: divergence 0."""
    return jnp.tile(jnp.log(probabilities), (policy.groups, policy.length, 1))


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
