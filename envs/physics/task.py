"""What the physics tasks share: a policy acts until the horizon, and a fall masks the rest."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray
from typing_extensions import override

from envs import agents
from envs.base import Response, Task
from envs.physics.simulator import Simulator, State
from mpo.policies import GaussianPolicy
from mpo.settings import count

APART = (2100.0, 1800.0)
"""What Hopper's expert and the agent closest to it earn: where the mirror-preference paper
calibrates its judge, for every body."""


class Start(NamedTuple):
    """Where a response starts: generalised position and velocity, small enough to store."""

    q: Array
    qd: Array


class Outcome(NamedTuple):
    """What an action led to; `healthy` is false where the episode ends by a fall."""

    state: State
    reward: Float[Array, ""]
    healthy: Bool[Array, ""]


@dataclass(frozen=True)
class PhysicsTask(Task):
    """A body to be moved by a Gaussian policy; subclasses say how it starts and what pays.

    Actions are clipped to [-1, 1] by the task; a response records them as they
    were drawn, so that their log-probability is the policy's. The step that ends
    in a fall is paid and belongs to the response. After it nothing does: mask
    false, reward 0, inputs and outputs 0 (the simulation itself simply goes on).

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
    def observe(self, state: State) -> Float[Array, " obs"]:
        """Return what the policy sees of a state."""

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

    def begin(self, start: Start) -> State:
        """Return the physical state of a start."""
        return self.simulator.begin(start.q, start.qd)

    def advance(self, state: State, action: Float[Array, " act"]) -> Outcome:
        """Act once; a simulation that diverges counts as a fall, and that step pays nothing."""
        clipped = jnp.clip(action, -1.0, 1.0)
        state, reward, healthy = self._judge(state, self.simulator.step(state, clipped), clipped)
        finite = jnp.isfinite(reward) & jnp.all(jnp.isfinite(state.q))
        return Outcome(state, jnp.where(finite, reward, 0.0), healthy & finite)

    @override
    def respond(self, params: Any, start: Start, key: PRNGKeyArray) -> Response:

        def step(carry: Any, t: Array) -> tuple[Any, Response]:
            return self._act(params, key, carry, t)

        return jax.lax.scan(step, self._fresh(start), jnp.arange(self.horizon))[1]

    @override
    def score(self, params: Any, start: Start, key: PRNGKeyArray) -> Float[Array, ""]:

        def step(carry: Any, t: Array) -> tuple[Any, None]:
            body, total = carry
            body, response = self._act(params, key, body, t)
            return (body, total + response.reward), None

        carry = (self._fresh(start), jnp.zeros(()))
        return jax.lax.scan(step, carry, jnp.arange(self.horizon))[0][1]

    def watch(self, params: Any, start: Start, key: PRNGKeyArray) -> tuple[State, Array]:
        """Return the state before each step of `respond(params, start, key)`, and its mask."""

        def step(carry: Any, t: Array) -> tuple[Any, tuple[State, Array]]:
            after, _ = self._act(params, key, carry, t)
            return after, carry

        return jax.lax.scan(step, self._fresh(start), jnp.arange(self.horizon))[1]

    def _fresh(self, start: Start) -> tuple[State, Bool[Array, ""]]:
        return self.begin(start), jnp.ones((), bool)

    def _act(
        self, params: Any, key: PRNGKeyArray, carry: tuple[State, Bool[Array, ""]], t: Array
    ) -> tuple[tuple[State, Bool[Array, ""]], Response]:
        state, alive = carry
        observation = self.observe(state)
        action = self.policy.sample(params, jax.random.fold_in(key, t), observation)
        state, reward, healthy = self.advance(state, action)
        taken = Response(
            inputs=jnp.where(alive, observation, 0.0),
            outputs=jnp.where(alive, action, 0.0),
            reward=jnp.where(alive, reward, 0.0),
            mask=alive,
        )
        return (state, alive & healthy), taken
