"""PPO for the reference agents: pure iterations, compiled in chunks, resumable bit for bit."""

from envs.ppo.environment import Environment
from envs.ppo.learner import PPO, TrainState, advantages
from envs.ppo.settings import Settings, preset
from envs.ppo.training import read_log, train
from mpo.log import Line

__all__ = [
    "PPO",
    "Environment",
    "Line",
    "Settings",
    "TrainState",
    "advantages",
    "preset",
    "read_log",
    "train",
]
