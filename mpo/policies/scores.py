"""Reward models: unnormalised policies, whose step scores add up to the reward of a response.

Each has the methods of a policy that training asks for, so the inner loop fits it as it is:
Bradley–Terry is `closed_form` with α = 0 of its summed scores, regression `rpo_sq`.
"""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, PRNGKeyArray

from mpo.policies.gaussian import GaussianParams, GaussianPolicy
from mpo.policies.tokens import TokenPolicy


@dataclass(frozen=True)
class TokenScores:
    """A score for each token, whatever stands before it.

    Attributes:
      vocabulary: number of different tokens, V.
    """

    vocabulary: int

    def init(self, key: PRNGKeyArray) -> Float[Array, " V"]:
        """Return scores of zero."""
        return jnp.zeros(self.vocabulary)

    def log_prob(
        self,
        params: Float[Array, " V"],
        context: Integer[Array, "*context"],
        tokens: Integer[Array, " T"],
    ) -> Float[Array, " T"]:
        """Return the score of each token."""
        return params[tokens.astype(jnp.int32)]


@dataclass(frozen=True)
class PolicyScores:
    """A policy's logit of each token: a reward model with the parameters of the policy.

    Attributes:
      body: the policy.
    """

    body: TokenPolicy

    def init(self, key: PRNGKeyArray) -> Any:
        """Draw the parameters of a fresh policy."""
        return self.body.init(key)

    def log_prob(
        self, params: Any, context: Integer[Array, "*context"], tokens: Integer[Array, " T"]
    ) -> Float[Array, " T"]:
        """Return the score of each token."""
        logits = self.body.logits(params, context, tokens)
        return jnp.take_along_axis(logits, tokens.astype(jnp.int32)[:, None], axis=1)[:, 0]


@dataclass(frozen=True)
class StepScores:
    """A tanh network's score of each observation and the action taken there.

    Attributes:
      observation_size: entries of an observation.
      action_size: entries of an action.
      hidden: width of each hidden layer.
    """

    observation_size: int
    action_size: int
    hidden: tuple[int, ...] = (64, 64)

    def init(self, key: PRNGKeyArray) -> GaussianParams:
        """Draw orthogonal weights, the last layer small."""
        return self._net.init(key)

    def normalised(
        self, params: GaussianParams, mean: Float[Array, " obs"], std: Float[Array, " obs"]
    ) -> GaussianParams:
        """Return the parameters with another normaliser of observations, none of actions."""
        own = self._net
        rest = jnp.zeros(self.action_size, mean.dtype)
        return own.normalised(
            params, jnp.concatenate([mean, rest]), jnp.concatenate([std, jnp.ones_like(rest)])
        )

    def trained(self, params: GaussianParams) -> GaussianParams:
        """Return of each array whether training moves it: all but the normaliser."""
        return self._net.trained(params)

    def log_prob(
        self,
        params: GaussianParams,
        observation: Float[Array, "*batch obs"],
        action: Float[Array, "*batch act"],
    ) -> Float[Array, "*batch"]:
        """Return the score of each step."""
        seen = jnp.concatenate([observation, jnp.clip(action, -1.0, 1.0)], axis=-1)
        return self._net.mean(params, seen)[..., 0]

    @property
    def _net(self) -> GaussianPolicy:
        return GaussianPolicy(self.observation_size + self.action_size, 1, self.hidden)
