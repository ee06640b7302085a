"""The token bandit: a preference problem of ten tokens, with exact answers."""

from envs.bandit.task import ARCHITECTURES, LEVELS, PEAKS, TokenBandit

__all__ = ["ARCHITECTURES", "LEVELS", "PEAKS", "TokenBandit"]
