"""What tasks of states share: a policy acts until the horizon; past an end all is masked.

A subclass says where a start begins, what is seen of a state, and what an action leads to.
"""

from abc import abstractmethod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num, PRNGKeyArray
from typing_extensions import override

from envs.base import Response, Start, Task

State = Any  # a pytree of arrays


class Outcome(NamedTuple):
    """What an action led to; `healthy` is false where the episode ends by it."""

    state: State
    reward: Float[Array, ""]
    healthy: Bool[Array, ""]


class SteppedTask(Task):
    """A task of states, in which each action depends on what is seen of one.

    The step that ends an episode is paid and belongs to the response. After it nothing does: mask
    false, reward 0, inputs and outputs 0 (the simulation itself simply goes on).
    """

    @property
    @abstractmethod
    @override
    def policy(self) -> Any:
        """The architecture of this task's agents: one that samples an action of an observation."""

    @abstractmethod
    def begin(self, start: Start) -> State:
        """Return the state of a start."""

    @abstractmethod
    def observe(self, state: State) -> Float[Array, " obs"]:
        """Return what the policy sees of a state."""

    @abstractmethod
    def advance(self, state: State, action: Num[Array, "*act"]) -> Outcome:
        """Act once."""

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
            outputs=jnp.where(alive, action, jnp.zeros_like(action)),
            reward=jnp.where(alive, reward, 0.0),
            mask=alive,
        )
        return (state, alive & healthy), taken
