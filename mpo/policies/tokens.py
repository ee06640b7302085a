"""What the token policies share: one response is a context token and the tokens after it."""

from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, PRNGKeyArray


@runtime_checkable
class TokenPolicy(Protocol):
    """π(y|x) = Π_t π(y_t | x, y_<t): a sequence of `length` tokens after one context token.

    Every method is for ONE response; batches and agents are `vmap`s. Tokens are
    integers in [0, vocabulary), of any integer dtype; the policy draws int32.
    """

    @property
    def vocabulary(self) -> int:
        """The number of different tokens, V."""
        ...

    @property
    def length(self) -> int:
        """The number of tokens in a response, T."""
        ...

    def init(self, key: PRNGKeyArray) -> Any:
        """Draw the parameters of a new agent."""
        ...

    def logits(
        self, params: Any, context: Integer[Array, ""], tokens: Integer[Array, " T"]
    ) -> Float[Array, "T V"]:
        """Return the unnormalised log-probabilities of each position, given what precedes it."""
        ...

    def log_prob(
        self, params: Any, context: Integer[Array, ""], tokens: Integer[Array, " T"]
    ) -> Float[Array, " T"]:
        """Return log π(y_t | x, y_<t) of each token; their sum is log π(y|x)."""
        ...

    def sample(
        self, params: Any, key: PRNGKeyArray, context: Integer[Array, ""]
    ) -> Integer[Array, " T"]:
        """Draw a response."""
        ...


def preceding(context: Integer[Array, ""], tokens: Integer[Array, " T"]) -> Integer[Array, " T"]:
    """Return the token just before each of `tokens`; before the first stands the context."""
    first = jnp.asarray(context, jnp.int32)[None]
    return jnp.concatenate([first, tokens[:-1].astype(jnp.int32)])
