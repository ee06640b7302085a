"""The critic: a tanh network from a normalised observation to its value."""

import itertools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

Weights = tuple[tuple[Array, Array], ...]


@dataclass(frozen=True)
class Critic:
    """V(s) of an observation of `observation_size` entries."""

    observation_size: int
    hidden: tuple[int, ...] = (64, 64)

    def init(self, key: PRNGKeyArray) -> Weights:
        """Draw orthogonal kernels; biases are zero."""
        sizes = (self.observation_size, *self.hidden, 1)
        shapes = tuple(itertools.pairwise(sizes))
        gains = (2.0**0.5,) * len(self.hidden) + (1.0,)
        return tuple(
            (jax.nn.initializers.orthogonal(gain)(k, shape), jnp.zeros(shape[1]))
            for k, gain, shape in zip(
                jax.random.split(key, len(shapes)), gains, shapes, strict=True
            )
        )

    def value(self, weights: Weights, observation: Float[Array, "batch obs"]) -> Array:
        """Return the value of each (normalised) observation, shape [batch]."""
        *hidden, (kernel, bias) = weights
        x = observation
        for k, b in hidden:
            x = jnp.tanh(x @ k + b[None])
        return (x @ kernel + bias[None])[:, 0]
