"""How an agent is trained by PPO: the numbers, and those that work for each task."""

from dataclasses import dataclass, fields

from envs import registry
from mpo.errors import RequestError


@dataclass(frozen=True)
class Settings:
    """Numbers of proximal policy optimization; checked on construction.

    Attributes:
      steps: environment steps of the whole training; the learning rate falls to 0 over them.
      envs: environments that run side by side.
      unroll: steps each takes between two updates.
      epochs: passes over the collected steps in an update.
      minibatches: gradient steps in a pass.
      discount: γ.
      trace: λ of generalised advantage estimation.
      clip: how far a probability ratio may leave 1 before it stops paying.
      learning_rate: Adam's, at the beginning.
      max_gradient_norm: longer gradients are shortened to it.
      value_weight: weight of the critic's loss.
    """

    steps: int = 20_000_000
    envs: int = 1024
    unroll: int = 32
    epochs: int = 4
    minibatches: int = 32
    discount: float = 0.997
    trace: float = 0.95
    clip: float = 0.2
    learning_rate: float = 1e-3
    max_gradient_norm: float = 0.5
    value_weight: float = 0.5

    def __post_init__(self) -> None:
        """Refuse numbers that cannot train."""
        for field in fields(self):
            if getattr(self, field.name) <= 0:
                raise RequestError(f"{field.name} is {getattr(self, field.name)}: it must be > 0")
        for name in ("discount", "trace"):
            if getattr(self, name) > 1:
                raise RequestError(f"{name} is {getattr(self, name)}: it must be at most 1")
        if self.batch % self.minibatches:
            raise RequestError(
                f"envs x unroll = {self.batch} does not divide into {self.minibatches} minibatches"
            )

    @property
    def batch(self) -> int:
        """Environment steps of one iteration."""
        return self.envs * self.unroll

    @property
    def iterations(self) -> int:
        """Iterations of the whole training (the last one may go beyond `steps`)."""
        return -(-self.steps // self.batch)


def preset(task: str) -> Settings:
    """Return the settings that reach the levels of a task's reference agents.

    Raises:
      RequestError: there is no such task, or it has none.
    """
    own = registry.task_class(task).defaults.ppo
    if own is None:
        raise RequestError(
            f"task {task!r} has no settings of PPO to train reference agents by: "
            "its class says them in `defaults`, as Defaults(ppo={...})"
        )
    return Settings(**own)
