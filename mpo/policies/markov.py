"""The cheapest token policy: a table of logits, one row for each preceding token."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, PRNGKeyArray

from mpo.policies.tokens import preceding


@dataclass(frozen=True)
class MarkovPolicy:
    """π(y_t | x, y_<t) = softmax(table[y_{t-1}])[y_t], with y_0 = x the context.

    Its parameters are the table itself, shape [V, V]. Under a `vmap` over
    responses the table is normalised once per agent, not once per response.

    Attributes:
      vocabulary: number of different tokens, V.
      length: tokens in a response, T.
      initial_scale: standard deviation of a new agent's logits; 0 is the uniform policy.
    """

    vocabulary: int
    length: int
    initial_scale: float = 0.02

    def init(self, key: PRNGKeyArray) -> Float[Array, "V V"]:
        """Draw a nearly uniform table."""
        return self.initial_scale * jax.random.normal(key, (self.vocabulary, self.vocabulary))

    def logits(
        self, params: Float[Array, "V V"], context: Integer[Array, ""], tokens: Integer[Array, " T"]
    ) -> Float[Array, "T V"]:
        """Return the unnormalised log-probabilities of each position, given what precedes it."""
        return params[preceding(context, tokens)]

    def log_prob(
        self, params: Float[Array, "V V"], context: Integer[Array, ""], tokens: Integer[Array, " T"]
    ) -> Float[Array, " T"]:
        """Return log π(y_t | y_{t-1}) of each token."""
        return jax.nn.log_softmax(params)[preceding(context, tokens), tokens.astype(jnp.int32)]

    def sample(
        self, params: Float[Array, "V V"], key: PRNGKeyArray, context: Integer[Array, ""]
    ) -> Integer[Array, " T"]:
        """Draw a response, one token after another."""

        def step(token: Array, noise: Array) -> tuple[Array, Array]:
            drawn = jnp.argmax(params[token] + noise).astype(jnp.int32)
            return drawn, drawn

        noise = jax.random.gumbel(key, (self.length, self.vocabulary), params.dtype)
        return jax.lax.scan(step, jnp.asarray(context, jnp.int32), noise)[1]
