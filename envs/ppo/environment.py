"""Environments side by side, restarted as they end: what PPO collects its steps from."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from mpo.policies import GaussianPolicy
from mpo.pytree import pytree


@runtime_checkable
class Environment(Protocol):
    """What PPO asks of a task (`envs.physics.PhysicsTask` has it); one state at a time."""

    @property
    def horizon(self) -> int:
        """Steps after which the clock ends an episode."""
        ...

    @property
    def policy(self) -> GaussianPolicy:
        """The architecture to be trained."""
        ...

    def start(self, key: PRNGKeyArray) -> Any:
        """Draw a starting point."""
        ...

    def begin(self, start: Any) -> Any:
        """Return the state of a starting point."""
        ...

    def observe(self, state: Any) -> Array:
        """Return what the policy sees."""
        ...

    def advance(self, state: Any, action: Array) -> tuple[Any, Array, Array]:
        """Act once: the next state, the reward, and whether it goes on (false: a fall)."""
        ...


@pytree
@dataclass(frozen=True)
class Crowd:
    """Where a number of environments are.

    Attributes:
      state: states of the environments, on a leading axis.
      age: steps since each began.
      earned: undiscounted reward of its episode so far.
      discounted: reward so far, discounted backward (Σ γ^{t−i} r_i), for reward normalisation.
    """

    state: Any
    age: Array
    earned: Array
    discounted: Array


class Transition(NamedTuple):
    """One step of every environment; `earned` counts where `ended`."""

    observation: Array
    action: Array
    log_prob: Array
    reward: Array
    next_observation: Array
    terminated: Array
    ended: Array
    earned: Array
    discounted: Array


def gather(env: Environment, key: PRNGKeyArray, size: int) -> Crowd:
    """Start `size` environments, at random ages so that their clocks do not strike together."""
    place, time = jax.random.split(key)
    return Crowd(
        state=fresh(env, place, size),
        age=jax.random.randint(time, (size,), 0, env.horizon),
        earned=jnp.full(
            size, jnp.nan, jnp.float32
        ),  # a first episode is partial: its return is no return
        discounted=jnp.zeros(size),
    )


def fresh(env: Environment, key: PRNGKeyArray, size: int) -> Any:
    """Return `size` states drawn from the starting distribution."""
    return jax.vmap(lambda k: env.begin(env.start(k)))(jax.random.split(key, size))


def step(
    env: Environment, crowd: Crowd, spare: Any, params: Any, key: PRNGKeyArray, discount: float
) -> tuple[Crowd, Transition]:
    """Let every environment act once; one that ends goes on from its state in `spare`."""
    observation = jax.vmap(env.observe)(crowd.state)
    action = env.policy.sample(params, key, observation)
    state, reward, healthy = jax.vmap(env.advance)(crowd.state, action)
    terminated = ~healthy
    ended = terminated | (crowd.age + 1 >= env.horizon)
    earned = crowd.earned + reward
    discounted = discount * crowd.discounted + reward
    transition = Transition(
        observation=observation,
        action=action,
        log_prob=env.policy.log_prob(params, observation, action),
        reward=reward,
        next_observation=jax.vmap(env.observe)(state),
        terminated=terminated,
        ended=ended,
        earned=earned,
        discounted=discounted,
    )
    crowd = Crowd(
        state=jax.tree.map(lambda a, b: _where(ended, a, b), spare, state),
        age=jnp.where(ended, 0, crowd.age + 1),
        earned=jnp.where(ended, 0.0, earned),
        discounted=jnp.where(ended, 0.0, discounted),
    )
    return crowd, transition


def _where(condition: Array, yes: Array, no: Array) -> Array:
    return jnp.where(jnp.expand_dims(condition, tuple(range(1, yes.ndim))), yes, no)
