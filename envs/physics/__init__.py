"""Tasks on brax physics: Hopper, Ant, and Ant on three legs."""

from envs.physics.ant import Ant, ThreeLeggedAnt
from envs.physics.hopper import Hopper
from envs.physics.simulator import BACKENDS
from envs.physics.task import PhysicsTask, Start
from envs.stepping import Outcome

__all__ = ["BACKENDS", "Ant", "Hopper", "Outcome", "PhysicsTask", "Start", "ThreeLeggedAnt"]
