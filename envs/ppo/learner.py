"""PPO (Schulman et al. 2017, arXiv 1707.06347): one iteration is a pure function of its state.

With its critic, its running moments, and advantages that tell falls from time limits.
"""

import itertools
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from envs.ppo import environment as crowds
from envs.ppo import learner as gae
from envs.ppo import learner as moments
from envs.ppo.environment import Crowd, Environment, Transition
from envs.ppo.settings import Settings
from mpo.pytree import pytree
from mpo.train.descent import Optimizer


def advantages(
    reward: Float[Array, "steps envs"],
    value: Float[Array, "steps envs"],
    next_value: Float[Array, "steps envs"],
    terminated: Bool[Array, "steps envs"],
    ended: Bool[Array, "steps envs"],
    discount: float,
    trace: float,
) -> Float[Array, "steps envs"]:
    """Return A_t = δ_t + γ λ A_{t+1}, with δ_t = r_t + γ V(s_{t+1}) − V(s_t).

    Schulman et al. 2016 (arXiv 1506.02438). A fall (`terminated`) has no future
    value; a time limit (`ended` without `terminated`) keeps it, so that the agent
    does not take the clock for a property of the world. Both cut the sum.

    Args:
      reward: reward of each step.
      value: V of the state before the step.
      next_value: V of the state after it, before any reset.
      terminated: the step ended in a fall.
      ended: the step was the last of its episode, for whatever reason.
      discount: γ, the weight of a reward one step later.
      trace: λ of generalised advantage estimation.
    """
    surprise = reward + discount * jnp.where(terminated, 0.0, next_value) - value
    keep = jnp.where(ended, 0.0, discount * trace)

    def back(after: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        delta, weight = now
        total = delta + weight * after
        return total, total

    return jax.lax.scan(back, jnp.zeros_like(reward[0]), (surprise, keep), reverse=True)[1]


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


@pytree
@dataclass(frozen=True)
class Moments:
    """Mean and variance of everything seen, per entry of an item; a pytree."""

    count: Array
    mean: Array
    variance: Array

    @property
    def std(self) -> Array:
        """Standard deviation, kept from zero: what never varied must not explode when it does."""
        return jnp.maximum(jnp.sqrt(self.variance), 1e-3)


def nothing(shape: tuple[int, ...]) -> Moments:
    """Return the moments of items of `shape` before any was seen: mean 0, variance 1."""
    return Moments(count=jnp.zeros(()), mean=jnp.zeros(shape), variance=jnp.ones(shape))


def update(moments: Moments, batch: Float[Array, "items *shape"]) -> Moments:
    """Take a batch in (Chan, Golub, LeVeque 1979: moments of two sets joined)."""
    size = batch.shape[0]
    total = moments.count + size
    gap = jnp.mean(batch, axis=0) - moments.mean
    share = size / total
    variance = (1 - share) * moments.variance + share * jnp.var(batch, axis=0)
    return Moments(
        count=total,
        mean=moments.mean + share * gap,
        variance=variance + share * (1 - share) * jnp.square(gap),
    )


Metrics = dict[str, Array]


@pytree
@dataclass(frozen=True)
class TrainState:
    """All that a training is: restoring it continues the training bit for bit.

    Attributes:
      policy: parameters of the agent; its observation normaliser is among them.
      critic: parameters of the critic.
      optimizer: state of the optimizer of both.
      observations: moments behind the normaliser.
      returns: moments of the discounted rewards, which scale the rewards.
      crowd: where the environments are.
      key: what all later randomness is drawn from.
      iteration: iterations done.
    """

    policy: Any
    critic: Any
    optimizer: Any
    observations: Moments
    returns: Moments
    crowd: Crowd
    key: Array
    iteration: Array


@dataclass(frozen=True)
class PPO:
    """Trains the policy of `env`; `init` and `iterate` are pure, and vmap over seeds."""

    env: Environment
    settings: Settings

    def init(self, key: PRNGKeyArray, policy: Any = None) -> TrainState:
        """Return the state before training, from fresh parameters or from `policy`."""
        actor, critic, crowd, later = jax.random.split(key, 4)
        params = self.env.policy.init(actor) if policy is None else policy
        # Without weak types, which a first iteration would lose and so be compiled twice.
        params = jax.tree.map(lambda x: jnp.asarray(x, x.dtype), params)
        weights = self._critic.init(critic)
        size = self.env.policy.observation_size
        seen = moments.nothing((size,))
        if policy is not None:
            # A trained agent's normaliser counts as one iteration's worth of steps.
            count = jnp.asarray(self.settings.batch, jnp.float32)
            seen = Moments(count, params.observation_mean, jnp.square(params.observation_std))
        return TrainState(
            policy=params,
            critic=weights,
            optimizer=self._optimizer.init((params, weights)),
            observations=seen,
            returns=moments.nothing(()),
            crowd=crowds.gather(self.env, crowd, self.settings.envs),
            key=later,
            iteration=jnp.zeros((), jnp.int32),
        )

    def iterate(self, state: TrainState) -> tuple[TrainState, Metrics]:
        """Collect `unroll` steps of every environment, then learn from them."""
        key, collect, shuffle = jax.random.split(state.key, 3)
        crowd, steps = self._collect(state, collect)
        returns = moments.update(state.returns, steps.discounted.reshape(-1))
        (policy, critic), optimizer, losses = self._learn(state, steps, returns, shuffle)
        seen = steps.observation.reshape(-1, steps.observation.shape[-1])
        observations = moments.update(state.observations, seen)
        policy = replace(
            policy, observation_mean=observations.mean, observation_std=observations.std
        )
        after = TrainState(
            policy, critic, optimizer, observations, returns, crowd, key, state.iteration + 1
        )
        return after, {**_episodes(steps), **losses, "log_std": jnp.mean(policy.log_std)}

    @property
    def _critic(self) -> Critic:
        return Critic(self.env.policy.observation_size)

    @property
    def _optimizer(self) -> Optimizer:
        s = self.settings
        updates = s.iterations * s.epochs * s.minibatches
        return Optimizer(
            optax.chain(
                optax.clip_by_global_norm(s.max_gradient_norm),
                optax.adam(optax.linear_schedule(s.learning_rate, 0.0, updates), eps=1e-5),
            )
        )

    def _collect(self, state: TrainState, key: Array) -> tuple[Crowd, Transition]:
        restart, act = jax.random.split(key)
        spare = crowds.fresh(self.env, restart, self.settings.envs)

        def step(crowd: Crowd, k: Array) -> tuple[Crowd, Transition]:
            return crowds.step(self.env, crowd, spare, state.policy, k, self.settings.discount)

        return jax.lax.scan(step, state.crowd, jax.random.split(act, self.settings.unroll))

    def _learn(
        self, state: TrainState, steps: Transition, returns: Moments, key: Array
    ) -> tuple[tuple[Any, Any], Any, Metrics]:
        data = self._targets(state, steps, returns)

        def descend(carry: Any, rows: Array) -> tuple[Any, Metrics]:
            params, optimizer = carry
            batch = jax.tree.map(lambda x: x[rows], data)
            gradient, losses = jax.grad(self._loss, has_aux=True)(params, batch)
            return self._optimizer.update(gradient, optimizer, params), losses

        carry = ((state.policy, state.critic), state.optimizer)
        carry, losses = jax.lax.scan(descend, carry, self._rows(key))
        return *carry, jax.tree.map(jnp.mean, losses)

    def _targets(self, state: TrainState, steps: Transition, returns: Moments) -> dict[str, Array]:
        """Return what the loss needs of every step, flat over steps and environments."""
        value = partial(self._value, state.critic, state.policy)
        s, now = self.settings, value(steps.observation)
        advantage = gae.advantages(
            jnp.clip(steps.reward / returns.std, -10.0, 10.0),
            now,
            value(steps.next_observation),
            steps.terminated,
            steps.ended,
            s.discount,
            s.trace,
        )
        return {
            "observation": steps.observation.reshape(s.batch, -1),
            "action": steps.action.reshape(s.batch, -1),
            "log_prob": steps.log_prob.reshape(-1),
            "advantage": advantage.reshape(-1),
            "value_target": (advantage + now).reshape(-1),
        }

    def _rows(self, key: Array) -> Array:
        """Draw the rows of each minibatch of each epoch."""
        s = self.settings
        shuffled = jax.vmap(lambda k: jax.random.permutation(k, s.batch))(
            jax.random.split(key, s.epochs)
        )
        return shuffled.reshape(s.epochs * s.minibatches, -1)

    def _value(self, critic: Any, policy: Any, observation: Array) -> Array:
        flat = observation.reshape(-1, observation.shape[-1])
        flat = (flat - policy.observation_mean[None]) / policy.observation_std[None]
        return self._critic.value(critic, flat).reshape(observation.shape[:-1])

    def _loss(self, params: tuple[Any, Any], batch: dict[str, Array]) -> tuple[Array, Metrics]:
        policy, critic = params
        frozen = jax.lax.stop_gradient(policy)
        log_ratio = (
            self.env.policy.log_prob(policy, batch["observation"], batch["action"])
            - batch["log_prob"]
        )
        ratio, advantage = jnp.exp(log_ratio), batch["advantage"]
        advantage = (advantage - jnp.mean(advantage)) / (jnp.std(advantage) + 1e-8)
        clipped = jnp.clip(ratio, 1 - self.settings.clip, 1 + self.settings.clip)
        policy_loss = -jnp.mean(jnp.minimum(ratio * advantage, clipped * advantage))
        error = self._value(critic, frozen, batch["observation"]) - batch["value_target"]
        value_loss = 0.5 * jnp.mean(jnp.square(error))
        metrics = {
            "policy_loss": policy_loss,
            "value_loss": value_loss,
            "kl": jnp.mean(ratio - 1 - log_ratio),
        }
        return policy_loss + self.settings.value_weight * value_loss, metrics


def _episodes(steps: Transition) -> Metrics:
    """Return the number of whole episodes that ended, and the sum of their returns."""
    whole = steps.ended & jnp.isfinite(steps.earned)
    return {
        "episodes": jnp.sum(whole, dtype=jnp.int32),
        "return_sum": jnp.sum(jnp.where(whole, steps.earned, 0.0)),
    }
