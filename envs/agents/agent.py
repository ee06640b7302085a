"""A reference agent: the parameters of a policy, and where they come from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from envs.base import Task

SCHEMA = 1
"""Version of the files. A reader refuses what is newer."""


@dataclass(frozen=True)
class Measurement:
    """The mean return of a number of episodes, actions sampled, and its standard error."""

    mean: float
    standard_error: float
    episodes: int

    def __str__(self) -> str:
        digits = 3 if abs(self.mean) < 10 else 0
        return f"{self.mean:,.{digits}f} ± {self.standard_error:,.{digits}f}"


@dataclass(frozen=True)
class Provenance:
    """Where an agent comes from; what its JSON file says.

    Attributes:
      task: the task it was trained on.
      backend: the physics backend it was trained and measured on; "none" without physics.
      target: the return it was kept for.
      seed: the seed of its training.
      steps: environment steps it was trained for.
      measured: its return in its task.
      settings: the settings of its training.
      versions: packages that made it.
      elsewhere: its return in other tasks, by name.
    """

    task: str
    backend: str
    target: float
    seed: int
    steps: int
    measured: Measurement
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    elsewhere: Mapping[str, Measurement] = field(default_factory=dict)


@dataclass(frozen=True)
class Agent:
    """A trained policy and its provenance."""

    params: Any
    provenance: Provenance


def measure(task: Task, params: Any, key: PRNGKeyArray, episodes: int) -> Measurement:
    """Let the policy act in `episodes` episodes, and return what it earned."""
    returns = _returns(task, params, key, episodes)
    spread = jnp.std(returns, ddof=1) if episodes > 1 else jnp.nan
    return Measurement(float(jnp.mean(returns)), float(spread / episodes**0.5), episodes)


def _returns(task: Task, params: Any, key: PRNGKeyArray, episodes: int) -> jax.Array:
    where, how = jax.random.split(key)
    starts = jax.vmap(task.start)(jax.random.split(where, episodes))
    return jax.vmap(task.score, (None, 0, 0))(params, starts, jax.random.split(how, episodes))


_returns = jax.jit(_returns, static_argnums=(0, 3))
