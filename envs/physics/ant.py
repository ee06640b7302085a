"""Ant, and the same Ant asked not to use one of its legs."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import mujoco
from jaxtyping import Array, Float, PRNGKeyArray
from typing_extensions import override

from envs import agents
from envs.base import Defaults
from envs.physics.simulator import Model, Simulator, State, simulator, uniform
from envs.physics.task import APART, PhysicsTask, Start
from envs.stepping import Outcome
from mpo.policies import GaussianPolicy
from mpo.settings import number

_FINE = 0.005  # seconds: spring and positional need a finer step than the model's own 0.01
_MODEL = Model(
    asset="ant.xml",
    frames={"default": 5, "spring": 10, "positional": 10},
    overrides={
        "spring": {"opt.timestep": _FINE},
        "positional": {"opt.timestep": _FINE, "actuator.gear": jnp.full(8, 200.0)},
        "mjx": {
            "opt.solver": mujoco.mjtSolver.mjSOL_NEWTON,
            "opt.disableflags": mujoco.mjtDisableBit.mjDSBL_EULERDAMP,
            "opt.iterations": 1,
            "opt.ls_iterations": 4,
        },
    },
    refused={"generalized": "it is unstable, its rewards become NaN under random actions"},
)
_PPO = {"steps": 10_000_000, "unroll": 10, "discount": 0.97, "learning_rate": 3e-4}
FOURTH_LEG = (0, 1)
"""The actuators of the fourth leg: hip_4 and ankle_4, the leg at the back right."""


@dataclass(frozen=True)
class Ant(PhysicsTask):
    """The standard Ant: r = 1 + ẋ − ½ ‖a‖², over when the torso leaves heights 0.2 to 1.

    27 observations (positions without x and y, velocities), 8 actions. It starts
    at rest, up to a uniform noise of 0.1 in position and a normal one in velocity.
    """

    name: ClassVar[str] = "ant"
    defaults: ClassVar[Defaults] = Defaults(
        reference="2000", close="4000", apart=APART, roles={"expert": "6000"}, ppo=_PPO
    )

    @property
    @override
    def simulator(self) -> Simulator:
        return simulator(_MODEL, self.backend)

    @property
    @override
    def policy(self) -> GaussianPolicy:
        return GaussianPolicy(observation_size=27, action_size=8)

    @override
    def start(self, key: PRNGKeyArray) -> Start:
        place, speed = jax.random.split(key)
        rest = self.simulator.rest
        velocity = 0.1 * jax.random.normal(speed, (self.simulator.velocity_size,))
        return Start(rest + uniform(place, rest, 0.1), velocity)

    @override
    def observe(self, state: State) -> Float[Array, " obs"]:
        """Return positions and velocities; where it is in the plane stays hidden."""
        return jnp.concatenate([state.q[2:], state.qd])

    @override
    def _judge(self, before: State, after: State, action: Float[Array, " act"]) -> Outcome:
        speed = (after.x.pos[0, 0] - before.x.pos[0, 0]) / self.simulator.seconds
        height = after.x.pos[0, 2]
        reward = 1.0 + speed - 0.5 * jnp.sum(jnp.square(action))
        return Outcome(after, reward, (height >= 0.2) & (height <= 1.0))


@dataclass(frozen=True)
class ThreeLeggedAnt(Ant):
    """Ant that pays for its fourth leg: r_Ant − leg_penalty · (a²_hip4 + a²_ankle4).

    Attributes:
      leg_penalty: cost of a unit of squared action on the fourth leg. The default
        brings the shipped Ant expert from 6,122 ± 66 down to about 1,700: to 1,704 ± 21 in
        the 256 episodes it was calibrated by, to 1,756 ± 17 in 256 others.
    """

    leg_penalty: float = number(8.05, at_least=0.0)

    name: ClassVar[str] = "three_legged_ant"
    defaults: ClassVar[Defaults] = Defaults(
        rows=1280,  # as many as the mirror-preference paper has (section 4)
        reference="unadapted",
        apart=APART,
        roles={"expert": "3900", "unadapted": "ant/6000"},
        sizes={"small": "tla-small", "paper": "tla-paper"},
        ppo=_PPO,
    )

    @override
    def initial(self, key: PRNGKeyArray) -> Any:
        """Return the shipped Ant expert: training adapts a pretrained agent to the constraint."""
        return agents.load("ant/expert").params

    @override
    def _judge(self, before: State, after: State, action: Float[Array, " act"]) -> Outcome:
        state, reward, healthy = super()._judge(before, after, action)
        used = jnp.sum(jnp.square(action[jnp.array(FOURTH_LEG)]))
        return Outcome(state, reward - self.leg_penalty * used, healthy)
