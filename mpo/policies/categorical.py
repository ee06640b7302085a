"""A policy that chooses one of several actions: a tanh network gives their logits."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from mpo.policies.network import Observing, layers, network
from mpo.pytree import pytree
from mpo.settings import Kept


@pytree
@dataclass(frozen=True)
class CategoricalParams:
    """Everything such a policy is; the observation normaliser is as in `GaussianParams`."""

    kernels: tuple[Float[Kept, "*agents _ _"], ...]
    biases: tuple[Float[Kept, "*agents _"], ...]
    observation_mean: Float[Kept, "*agents observations"]
    observation_std: Float[Kept, "*agents observations"]


@dataclass(frozen=True)
class CategoricalPolicy(Observing[CategoricalParams]):
    """π(a|s) = softmax(z(s))[a], z a tanh network of the normalised observation.

    Attributes:
      observation_size: entries of an observation.
      actions: how many there are to choose from; an action is the number of one.
      hidden: width of each hidden layer.
    """

    observation_size: int
    actions: int
    hidden: tuple[int, ...] = (64, 64)

    def init(self, key: PRNGKeyArray) -> CategoricalParams:
        """Draw orthogonal weights; the output layer is small, so that all are about as likely."""
        kernels, biases = layers(key, (self.observation_size, *self.hidden, self.actions))
        return CategoricalParams(
            kernels=kernels,
            biases=biases,
            observation_mean=jnp.zeros(self.observation_size),
            observation_std=jnp.ones(self.observation_size),
        )

    def log_prob(
        self,
        params: CategoricalParams,
        observation: Float[Array, "*batch obs"],
        action: Int[Array, "*batch"],
    ) -> Float[Array, "*batch"]:
        """Return log π(a|s) of each observation and action."""
        logits = jax.nn.log_softmax(network(params, observation))
        return jnp.take_along_axis(logits, action[..., None], axis=-1)[..., 0]

    def sample(
        self, params: CategoricalParams, key: PRNGKeyArray, observation: Float[Array, "*batch obs"]
    ) -> Int[Array, "*batch"]:
        """Draw an action for each observation."""
        return jax.random.categorical(key, network(params, observation)).astype(jnp.int32)
