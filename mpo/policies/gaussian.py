"""A Gaussian policy over continuous actions: a tanh network and one log-std per action."""

import dataclasses
import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from mpo.policies.network import Observing, layers, network, trailing
from mpo.pytree import pytree
from mpo.settings import Kept

_LOG_SQRT_TWO_PI = 0.5 * math.log(2.0 * math.pi)


@pytree
@dataclass(frozen=True)
class GaussianParams:
    """Everything a Gaussian policy is; a pytree, so agents stack along a leading axis.

    `observation_mean` and `observation_std` are the observation normaliser. They
    travel with the weights, and no gradient reaches them.
    """

    kernels: tuple[Float[Kept, "*agents _ _"], ...]
    biases: tuple[Float[Kept, "*agents _"], ...]
    log_std: Float[Kept, "*agents actions"]
    observation_mean: Float[Kept, "*agents observations"]
    observation_std: Float[Kept, "*agents observations"]


@dataclass(frozen=True)
class GaussianPolicy(Observing[GaussianParams]):
    """π(a|s) = N(a; μ(s), diag(e^{2 log_std})), μ a tanh network of the normalised observation.

    Attributes:
      observation_size: entries of an observation.
      action_size: entries of an action.
      hidden: width of each hidden layer.
      initial_log_std: where the state-independent log-std starts.
    """

    observation_size: int
    action_size: int
    hidden: tuple[int, ...] = (64, 64)
    initial_log_std: float = 0.0

    def init(self, key: PRNGKeyArray) -> GaussianParams:
        """Draw orthogonal weights; the output layer is small, so that μ starts near zero."""
        kernels, biases = layers(key, (self.observation_size, *self.hidden, self.action_size))
        return GaussianParams(
            kernels=kernels,
            biases=biases,
            log_std=jnp.full(self.action_size, self.initial_log_std),
            observation_mean=jnp.zeros(self.observation_size),
            observation_std=jnp.ones(self.observation_size),
        )

    def mean(
        self, params: GaussianParams, observation: Float[Array, "*batch obs"]
    ) -> Float[Array, "*batch act"]:
        """Return the most likely action of each observation."""
        return network(params, observation)

    def log_std(self, params: GaussianParams) -> Float[Array, "*agents actions"]:
        """Return the standard deviations of actions around their mean, as logarithms."""
        return params.log_std

    def spread(self, params: GaussianParams, log_std: float) -> GaussianParams:
        """Return the parameters with this log-std for all actions: -inf acts by the mean."""
        return dataclasses.replace(params, log_std=jnp.full_like(params.log_std, log_std))

    def log_prob(
        self,
        params: GaussianParams,
        observation: Float[Array, "*batch obs"],
        action: Float[Array, "*batch act"],
    ) -> Float[Array, "*batch"]:
        """Return log π(a|s) of each observation and action, as a density (it can exceed 0)."""
        log_std = trailing(params.log_std, action)
        scaled = (action - self.mean(params, observation)) * jnp.exp(-log_std)
        return jnp.sum(-0.5 * jnp.square(scaled) - log_std - _LOG_SQRT_TWO_PI, axis=-1)

    def sample(
        self, params: GaussianParams, key: PRNGKeyArray, observation: Float[Array, "*batch obs"]
    ) -> Float[Array, "*batch act"]:
        """Draw an action for each observation."""
        mean = self.mean(params, observation)
        noise = jax.random.normal(key, mean.shape, mean.dtype)
        return mean + noise * trailing(jnp.exp(params.log_std), mean)
