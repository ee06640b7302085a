"""How an agent is trained by PPO: the numbers, and those that work for each task."""

from dataclasses import dataclass
from typing import ClassVar

from envs import registry
from mpo.errors import RequestError
from mpo.settings import Checked, build, count, number


@dataclass(frozen=True)
class Settings(Checked):
    """Numbers of proximal policy optimization; checked when they are made.

    Attributes:
      steps: environment steps of the whole training; the learning rate falls to 0 over them.
      envs: environments that run side by side.
      unroll: steps each takes between two updates.
      epochs: passes over the collected steps in an update.
      minibatches: gradient steps in a pass.
      discount: γ, the weight of a reward one step later.
      trace: λ of generalised advantage estimation.
      clip: how far a probability ratio may leave 1 before it stops paying.
      learning_rate: Adam's, at the beginning.
      max_gradient_norm: longer gradients are shortened to it.
      value_weight: weight of the critic's loss.
    """

    steps: int = count(20_000_000)
    envs: int = count(1024)
    unroll: int = count(32)
    epochs: int = count(4)
    minibatches: int = count(32)
    discount: float = number(0.997, above=0.0, at_most=1.0)
    trace: float = number(0.95, above=0.0, at_most=1.0)
    clip: float = number(0.2, above=0.0)
    learning_rate: float = number(1e-3, above=0.0)
    max_gradient_norm: float = number(0.5, above=0.0)
    value_weight: float = number(0.5, above=0.0)

    what: ClassVar[str] = "PPO"

    def __post_init__(self) -> None:
        """Refuse numbers that cannot train."""
        super().__post_init__()
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
    return build(Settings, "PPO", own)
