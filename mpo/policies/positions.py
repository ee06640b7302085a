"""Tokens by position: a table of logits with a row for each place in a response."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, PRNGKeyArray


@dataclass(frozen=True)
class PositionsPolicy:
    """π(y_t | x) = softmax(table[g(x), t])[y_t]: tokens are independent, of one law a position.

    Its parameters are the table, shape [G, T, V]; contexts share a row of it by neighbourhood,
    g(x) = ⌊x G/V⌋. The cheapest policy that can learn from its own samples to the end: a
    first-order table can settle in a cycle.

    Attributes:
      vocabulary: number of different tokens, V.
      length: tokens in a response, T.
      groups: neighbourhoods of contexts that are told apart, G; none, if 1.
      initial_scale: standard deviation of a new agent's logits; 0 is the uniform policy.
    """

    vocabulary: int
    length: int
    groups: int = 1
    initial_scale: float = 0.02

    def init(self, key: PRNGKeyArray) -> Float[Array, "G T V"]:
        """Draw a nearly uniform table."""
        shape = (self.groups, self.length, self.vocabulary)
        return self.initial_scale * jax.random.normal(key, shape)

    def group(self, context: Integer[Array, ""]) -> Integer[Array, ""]:
        """Return the neighbourhood of a context."""
        return jnp.asarray(context, jnp.int32) * self.groups // self.vocabulary

    def logits(
        self,
        params: Float[Array, "G T V"],
        context: Integer[Array, ""],
        tokens: Integer[Array, " T"],
    ) -> Float[Array, "T V"]:
        """Return the unnormalised log-probabilities of each position."""
        return params[self.group(context)]

    def log_prob(
        self,
        params: Float[Array, "G T V"],
        context: Integer[Array, ""],
        tokens: Integer[Array, " T"],
    ) -> Float[Array, " T"]:
        """Return log π(y_t | x) of each token."""
        places = jnp.arange(self.length)
        return jax.nn.log_softmax(params)[self.group(context), places, tokens.astype(jnp.int32)]

    def sample(
        self, params: Float[Array, "G T V"], key: PRNGKeyArray, context: Integer[Array, ""]
    ) -> Integer[Array, " T"]:
        """Draw a response, all tokens at once."""
        drawn = jax.random.categorical(key, params[self.group(context)])
        return drawn.astype(jnp.int32)
