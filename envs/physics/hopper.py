"""Hopper: a one-legged robot in the plane that is paid for moving forward without falling."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray
from typing_extensions import override

from envs.base import Defaults
from envs.physics.simulator import Model, Simulator, State, simulator, uniform
from envs.physics.task import APART, PhysicsTask, Start
from envs.stepping import Outcome
from mpo.policies import GaussianPolicy

_MODEL = Model(asset="hopper.xml", frames={"default": 4})


@dataclass(frozen=True)
class Hopper(PhysicsTask):
    """The classic Hopper: r = 1 + ẋ − 10⁻³ ‖a‖², over when it leans or sinks.

    11 observations (height, three joint angles and the lean; velocities clipped to
    ±10), 3 actions. Healthy means height > 0.7, |lean| < 0.2 and every other
    coordinate within ±100. It starts at rest, up to a uniform noise of 0.005.
    """

    name: ClassVar[str] = "hopper"
    defaults: ClassVar[Defaults] = Defaults(
        rows=5120,  # as many as the mirror-preference paper has (section 4)
        reference="900",
        close="1800",
        apart=APART,
        roles={"expert": "2100"},
        sizes={"small": "hopper-small", "paper": "hopper-paper"},
        ppo={},
    )

    @property
    @override
    def simulator(self) -> Simulator:
        return simulator(_MODEL, self.backend)

    @property
    @override
    def policy(self) -> GaussianPolicy:
        return GaussianPolicy(observation_size=11, action_size=3)

    @override
    def start(self, key: PRNGKeyArray) -> Start:
        place, speed = jax.random.split(key)
        rest = self.simulator.rest
        still = jnp.zeros(self.simulator.velocity_size)
        return Start(rest + uniform(place, rest, 5e-3), uniform(speed, still, 5e-3))

    @override
    def observe(self, state: State) -> Float[Array, " obs"]:
        """Return height, angles and velocities; the distance covered stays hidden."""
        height = state.x.pos[:1, 2]
        return jnp.concatenate([height, state.q[2:], jnp.clip(state.qd, -10.0, 10.0)])

    @override
    def _judge(self, before: State, after: State, action: Float[Array, " act"]) -> Outcome:
        speed = (after.x.pos[0, 0] - before.x.pos[0, 0]) / self.simulator.seconds
        lean = after.q[2]
        rest = jnp.concatenate([after.q[2:], after.qd])
        healthy = (after.x.pos[0, 2] > 0.7) & (jnp.abs(lean) < 0.2) & jnp.all(jnp.abs(rest) < 100.0)
        return Outcome(after, 1.0 + speed - 1e-3 * jnp.sum(jnp.square(action)), healthy)
