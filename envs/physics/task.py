"""What the physics tasks share: a policy acts until the horizon, and a fall masks the rest."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray
from typing_extensions import override

from envs import agents
from envs.physics.simulator import Simulator, State
from envs.stepping import Outcome, SteppedTask
from mpo.policies import GaussianPolicy
from mpo.settings import count

APART = (2100.0, 1800.0)
"""What Hopper's expert and the agent closest to it earn: where the mirror-preference paper
calibrates its judge, for every body."""


class Start(NamedTuple):
    """Where a response starts: generalised position and velocity, small enough to store."""

    q: Array
    qd: Array


@dataclass(frozen=True)
class PhysicsTask(SteppedTask):
    """A body to be moved by a Gaussian policy; subclasses say how it starts and what pays.

    Actions are clipped to [-1, 1] by the task; a response records them as they
    were drawn, so that their log-probability is the policy's.

    Attributes:
      backend: the brax backend that simulates.
      horizon: steps of a response that does not end by a fall.
    """

    backend: str = "spring"
    horizon: int = count(1000)

    def __post_init__(self) -> None:
        """Refuse settings out of range, and load the simulator while nothing is being traced."""
        super().__post_init__()
        _ = self.simulator

    @property
    @abstractmethod
    def simulator(self) -> Simulator:
        """The physics."""

    @property
    @abstractmethod
    @override
    def policy(self) -> GaussianPolicy:
        """The architecture of this task's agents."""

    @abstractmethod
    @override
    def start(self, key: PRNGKeyArray) -> Start:
        """Draw one starting state."""

    @abstractmethod
    def _judge(self, before: State, after: State, action: Float[Array, " act"]) -> Outcome:
        """Say what the step from `before` to `after` by a clipped `action` paid."""

    @override
    def initial(self, key: PRNGKeyArray) -> Any:
        """Draw a fresh agent."""
        return self.policy.init(key)

    @override
    def agents(self) -> tuple[str, ...]:
        """Return the names of the agents that ship, from the least to the most skilled; roles."""
        return agents.levels(self.name, self.defaults.roles)

    @override
    def agent(self, level: str) -> Any:
        """Return the parameters of the agent `level`: one that ships, by level or role."""
        return agents.load(agents.whole_name(self.name, level, self.defaults.roles)).params

    @override
    def begin(self, start: Start) -> State:
        """Return the physical state of a start."""
        return self.simulator.begin(start.q, start.qd)

    @override
    def advance(self, state: State, action: Float[Array, " act"]) -> Outcome:
        """Act once; a simulation that diverges counts as a fall, and that step pays nothing."""
        clipped = jnp.clip(action, -1.0, 1.0)
        state, reward, healthy = self._judge(state, self.simulator.step(state, clipped), clipped)
        finite = jnp.isfinite(reward) & jnp.all(jnp.isfinite(state.q))
        return Outcome(state, jnp.where(finite, reward, 0.0), healthy & finite)
