"""PPO for the reference agents: pure iterations, compiled in chunks, resumable bit for bit."""

from envs.ppo.environment import Environment
from envs.ppo.learner import PPO, TrainState, advantages
from envs.ppo.settings import PRESETS, Settings
from envs.ppo.training import Line, read_log, train

__all__ = [
    "PPO",
    "PRESETS",
    "Environment",
    "Line",
    "Settings",
    "TrainState",
    "advantages",
    "read_log",
    "train",
]
