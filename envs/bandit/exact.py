"""Exact expectations of table policies. Pure functions, for jit, vmap and grad.

A policy is a table of logits for each group of contexts. Of a first-order one, [V, V] as in
`mpo.policies.MarkovPolicy`, the token distribution is moved along the positions, from `start`, the
distribution of the context token, shape [V]. One with a row a position, [G, T, V] as in
`mpo.policies.PositionsPolicy`, has them all at once.
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


Rows = Float[Array, "G T V"]


def expected_return_of_rows(rows: Rows, reward: Float[Array, "G V"]) -> Float[Array, ""]:
    """Return E_π[mean_t reward(y_t)], the groups of contexts being equally frequent."""
    return jnp.mean(jnp.sum(jax.nn.softmax(rows) * reward[:, None].astype(rows.dtype), axis=-1))


def divergence_of_rows(rows: Rows, other: Float[Array, " V"]) -> Float[Array, ""]:
    """Return KL(π ‖ π') of whole responses, in nats, π' drawing every token from softmax(other)."""
    log_p = jax.nn.log_softmax(rows)
    gap = log_p - jax.nn.log_softmax(other.astype(rows.dtype))[None, None]
    return jnp.sum(jnp.exp(log_p) * gap) / rows.shape[0]
