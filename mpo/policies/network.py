"""What policies of observations share: a tanh network, and a normaliser that is not trained."""

import dataclasses
import itertools
import math
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

Params = TypeVar("Params", bound=Any)


class Observing(Generic[Params]):
    """A policy that sees (s − mean) / std, whose parameters have both among their arrays."""

    def normalised(
        self, params: Params, mean: Float[Array, " obs"], std: Float[Array, " obs"]
    ) -> Params:
        """Return the parameters with another observation normaliser."""
        return dataclasses.replace(params, observation_mean=mean, observation_std=std)

    def trained(self, params: Params) -> Params:
        """Return of each array whether training moves it: all but the observation normaliser."""
        moved: Params = jax.tree_util.tree_map_with_path(
            lambda path, leaf: path[0].name not in ("observation_mean", "observation_std"), params
        )
        return moved


def layers(
    key: PRNGKeyArray, sizes: tuple[int, ...]
) -> tuple[tuple[Float[Array, "_ _"], ...], tuple[Float[Array, " _"], ...]]:
    """Draw orthogonal weights of a network, the output layer's small; biases are zero."""
    gains = (math.sqrt(2.0),) * (len(sizes) - 2) + (0.01,)
    keys = jax.random.split(key, len(gains))
    kernels = tuple(
        jax.nn.initializers.orthogonal(gain)(k, shape)
        for gain, k, shape in zip(gains, keys, itertools.pairwise(sizes), strict=True)
    )
    return kernels, tuple(jnp.zeros(size) for size in sizes[1:])


def network(params: Any, observation: Float[Array, "*batch obs"]) -> Float[Array, "*batch out"]:
    """Return what a tanh network says of the normalised observation.

    Args:
      params: with `kernels`, `biases`, `observation_mean` and `observation_std`.
      observation: of one step, or of many.
    """
    centre = jax.lax.stop_gradient(params.observation_mean)
    spread = jax.lax.stop_gradient(params.observation_std)
    x = (observation - trailing(centre, observation)) / trailing(spread, observation)
    *hidden, last = zip(params.kernels, params.biases, strict=True)
    for kernel, bias in hidden:
        y = x @ kernel
        x = jnp.tanh(y + trailing(bias, y))
    y = x @ last[0]
    return y + trailing(last[1], y)


def trailing(vector: Array, like: Array) -> Array:
    """Give `vector` the rank of `like`, aligned at the last axis."""
    return jnp.expand_dims(vector, tuple(range(like.ndim - 1)))
