"""Exact expectations of a table policy, by moving its token distribution along the positions.

Tables of logits [V, V] as in `mpo.policies.MarkovPolicy`; `start` is the
distribution of the context token, shape [V]. Pure functions, for jit, vmap and grad.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Table = Float[Array, "V V"]
Vector = Float[Array, " V"]


def preceding_marginals(table: Table, start: Vector, length: int) -> Float[Array, "T V"]:
    """Return the distribution of the token before each position; the first row is `start`."""
    transition = jax.nn.softmax(table)

    def step(marginal: Array, _: None) -> tuple[Array, Array]:
        return marginal @ transition, marginal

    return jax.lax.scan(step, start.astype(table.dtype), None, length=length)[1]


def expected_return(table: Table, start: Vector, reward: Vector, length: int) -> Float[Array, ""]:
    """Return E_π[mean_t reward(y_t)]."""
    before = preceding_marginals(table, start, length)
    return jnp.mean(before @ (jax.nn.softmax(table) @ reward.astype(table.dtype)))


def divergence(table: Table, other: Table, start: Vector, length: int) -> Float[Array, ""]:
    """Return KL(π ‖ π') of whole responses, in nats: Σ_t E_{y_t-1}[KL(row ‖ row')]."""
    log_p, log_q = jax.nn.log_softmax(table), jax.nn.log_softmax(other)
    rows = jnp.sum(jnp.exp(log_p) * (log_p - log_q), axis=-1)
    return jnp.sum(preceding_marginals(table, start, length) @ rows)
