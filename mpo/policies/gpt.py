"""A small GPT as a token policy; by default the size of minGPT's GPT-nano."""

import math
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, PRNGKeyArray

from mpo.policies.tokens import preceding

_SMALL = nn.initializers.normal(0.02)


class Transformer(nn.Module):
    """A causal pre-norm transformer with learned positions, GELU and an untied output layer.

    With `decode`, it is called with one token at a time and keeps keys and values
    in its `cache` collection.
    """

    vocabulary: int
    length: int
    layers: int
    heads: int
    width: int
    decode: bool = False

    @nn.compact
    def __call__(
        self, tokens: Integer[Array, " n"], position: Integer[Array, " n"]
    ) -> Float[Array, "n V"]:
        """Return the logits of the token that follows each of `tokens`."""
        place = nn.Embed(self.length, self.width, embedding_init=_SMALL, name="place")
        embed = nn.Embed(self.vocabulary, self.width, embedding_init=_SMALL, name="embed")
        x = embed(tokens) + place(position)
        for layer in range(self.layers):
            x = self._block(x, layer)
        x = nn.LayerNorm(name="norm")(x)
        return nn.Dense(self.vocabulary, use_bias=False, kernel_init=_SMALL, name="out")(x)

    def _block(self, x: Array, layer: int) -> Array:
        residual = nn.initializers.normal(0.02 / math.sqrt(2 * self.layers))
        attend = nn.MultiHeadDotProductAttention(
            self.heads,
            kernel_init=_SMALL,
            out_kernel_init=residual,
            decode=self.decode,
            name=f"attend_{layer}",
        )
        widen = nn.Dense(4 * self.width, kernel_init=_SMALL, name=f"widen_{layer}")
        narrow = nn.Dense(self.width, kernel_init=residual, name=f"narrow_{layer}")
        mask = None if self.decode else nn.make_causal_mask(x[:, 0])
        x = x + attend(nn.LayerNorm(name=f"norm_attend_{layer}")(x), mask=mask)
        return x + narrow(nn.gelu(widen(nn.LayerNorm(name=f"norm_widen_{layer}")(x))))


@dataclass(frozen=True)
class GPTPolicy:
    """π(y_t | x, y_<t) by a small causal transformer, in float32 and without dropout.

    Attributes:
      vocabulary: number of different tokens, V.
      length: tokens in a response, T.
      layers: transformer blocks.
      heads: attention heads of a block.
      width: size of the embedding, a multiple of `heads`.
      context: tokens in the context, P; one alone is a scalar.
      window: the most tokens it has places for; if left out, the P + T − 1 that it needs.
    """

    vocabulary: int
    length: int
    layers: int = 3
    heads: int = 3
    width: int = 48
    context: int = 1
    window: int | None = None

    @property
    def seen(self) -> int:
        """How many tokens it is given: the context, and all of a response but the last."""
        return self.context + self.length - 1

    def init(self, key: PRNGKeyArray) -> Any:
        """Draw weights as GPT-2 does: normal(0.02), smaller where a block adds to its input."""
        blank = jnp.zeros(self.seen, jnp.int32)
        return self._network().init(key, blank, blank)["params"]

    def logits(
        self, params: Any, context: Integer[Array, "*context"], tokens: Integer[Array, " T"]
    ) -> Float[Array, "T V"]:
        """Return the unnormalised log-probabilities of each position, given what precedes it."""
        position = jnp.arange(self.seen, dtype=jnp.int32)
        logits = self._network().apply({"params": params}, preceding(context, tokens), position)
        assert isinstance(logits, jax.Array)  # no collection is mutable, so nothing else returns
        return logits[self.context - 1 :]

    def log_prob(
        self, params: Any, context: Integer[Array, "*context"], tokens: Integer[Array, " T"]
    ) -> Float[Array, " T"]:
        """Return log π(y_t | x, y_<t) of each token."""
        log_probs = jax.nn.log_softmax(self.logits(params, context, tokens))
        return log_probs[jnp.arange(self.length), tokens.astype(jnp.int32)]

    def sample(
        self, params: Any, key: PRNGKeyArray, context: Integer[Array, "*context"]
    ) -> Integer[Array, " T"]:
        """Draw a response; keys and values of the earlier tokens are kept, not recomputed."""
        network = self._network(decode=True)
        before = jnp.atleast_1d(jnp.asarray(context, jnp.int32))
        positions = jnp.arange(self.seen, dtype=jnp.int32)

        def read(cache: Any, at: tuple[Array, Array]) -> tuple[Any, Array]:
            token, position = at
            state = {"params": params, "cache": cache}
            logits, updated = network.apply(state, token[None], position[None], mutable=["cache"])
            return updated["cache"], logits[0]

        def step(carry: Any, at: tuple[Array, Array]) -> tuple[Any, Array]:
            token, cache = carry
            position, noise = at
            cache, logits = read(cache, (token, position))
            drawn = jnp.argmax(logits + noise).astype(jnp.int32)
            return (drawn, cache), drawn

        cache = self._empty_cache()
        if self.context > 1:
            cache, _ = jax.lax.scan(read, cache, (before[:-1], positions[: self.context - 1]))
        noise = jax.random.gumbel(key, (self.length, self.vocabulary), jnp.float32)
        places = positions[self.context - 1 :]
        return jax.lax.scan(step, (before[-1], cache), (places, noise))[1]

    def _network(self, decode: bool = False) -> Transformer:
        window = self.seen if self.window is None else self.window
        return Transformer(self.vocabulary, window, self.layers, self.heads, self.width, decode)

    def _empty_cache(self) -> Any:
        blank = jnp.zeros(self.seen, jnp.int32)
        key = jax.eval_shape(lambda: jax.random.key(0))
        network = self._network(decode=True)
        shapes = jax.eval_shape(network.init, key, blank, blank)["cache"]
        return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
