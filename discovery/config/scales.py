"""Sizes of evaluations: a preset for each task, which says how its agents are trained."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from mpo.errors import unknown


@dataclass(frozen=True)
class Scale:
    """A size of evaluations.

    Attributes:
      presets: for each task, the preset its agents are trained and measured as in.
      about: a line for lists.
    """

    presets: Mapping[str, str]
    about: str

    def preset(self, task: str) -> str:
        """Return the preset of a task."""
        if task not in self.presets:
            raise unknown(
                "task with a preset of its own (else use --preset and --set)", task, self.presets
            )
        return self.presets[task]


SCALES: Mapping[str, Scale] = MappingProxyType(
    {
        "small": Scale(
            presets={
                "hopper": "hopper-small",
                "three_legged_ant": "tla-small",
                "token_bandit": "quick",
            },
            about="minutes a row on two cores",
        ),
        "paper": Scale(
            presets={
                "hopper": "hopper-paper",
                "three_legged_ant": "tla-paper",
                "token_bandit": "quick",
            },
            about="the mirror-preference paper's sizes, for a data-centre GPU",
        ),
    }
)


def scale(name: str) -> Scale:
    """Return the scale `name`."""
    if name not in SCALES:
        raise unknown("scale", name, SCALES)
    return SCALES[name]
