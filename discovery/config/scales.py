"""Sizes of evaluations: how the agents of a task are trained and measured, as the task says."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from envs.registry import task_class
from mpo.errors import RequestError, unknown


@dataclass(frozen=True)
class Scale:
    """A size of evaluations.

    Attributes:
      name: which of the sizes of a task it is (`envs.Defaults.sizes`).
      about: a line for lists.
      usual: whether a task that does not say this size has that of a description with nothing in
        it but the task.
    """

    name: str
    about: str
    usual: bool

    def described(self, task: str) -> dict[str, Any]:
        """Return the description of a run in which agents of a task are trained at this size.

        Raises:
          RequestError: there is no such task, or it does not say how.
        """
        sizes = task_class(task).defaults.sizes
        if self.name not in sizes and not self.usual:
            raise RequestError(
                f"task {task!r} does not say how its agents are trained at the size "
                f"{self.name!r}: use --preset and --set"
            )
        own = sizes.get(self.name, {})
        values: dict[str, Any] = {"extends": own} if isinstance(own, str) else dict(own)
        return {**values, "task": {**values.get("task", {}), "name": task}}


SCALES: Mapping[str, Scale] = MappingProxyType(
    {
        "small": Scale("small", "minutes a row on two cores", usual=True),
        "paper": Scale(
            "paper", "the mirror-preference paper's sizes, for a data-centre GPU", usual=False
        ),
    }
)


def scale(name: str) -> Scale:
    """Return the scale `name`."""
    if name not in SCALES:
        raise unknown("scale", name, SCALES)
    return SCALES[name]
