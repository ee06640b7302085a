"""What the token policies share: one response is a context and the tokens after it."""

from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, PRNGKeyArray


@runtime_checkable
class TokenPolicy(Protocol):
    """π(y|x) = Π_t π(y_t | x, y_<t): a sequence of `length` tokens after a context.

    A context is one token, a scalar; or several of them, for a policy that reads them all. Every
    method is for ONE response; batches and agents are `vmap`s. Tokens are
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
        self, params: Any, context: Integer[Array, "*context"], tokens: Integer[Array, " T"]
    ) -> Float[Array, "T V"]:
        """Return the unnormalised log-probabilities of each position, given what precedes it."""
        ...

    def log_prob(
        self, params: Any, context: Integer[Array, "*context"], tokens: Integer[Array, " T"]
    ) -> Float[Array, " T"]:
        """Return log π(y_t | x, y_<t) of each token; their sum is log π(y|x)."""
        ...

    def sample(
        self, params: Any, key: PRNGKeyArray, context: Integer[Array, "*context"]
    ) -> Integer[Array, " T"]:
        """Draw a response."""
        ...


def preceding(
    context: Integer[Array, "*context"], tokens: Integer[Array, " T"]
) -> Integer[Array, " n"]:
    """Return the context and all of `tokens` but the last: what stands before each of them."""
    first = jnp.atleast_1d(jnp.asarray(context, jnp.int32))
    return jnp.concatenate([first, tokens[:-1].astype(jnp.int32)])
