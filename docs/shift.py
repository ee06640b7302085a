"""Measure why the Ant's loss fails on Hopper: log π of the two tasks lies in other ranges.

python docs/shift.py        # writes docs/results/transfer/shift.json; minutes on two cores
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

import discovery
import mpo
from mpo.objectives import Objective
from mpo.pytree import pytree
from mpo.settings import Number, number, switch

LOSS = "found/tla-shuffled"
SHIFTS = (0.0, 2.0, 4.0, 6.0, 8.0)
AGENTS, DRAWS, EPISODES = 6, 3, 16
OUT = Path(__file__).resolve().parent / "results" / "transfer" / "shift.json"


@pytree
@dataclass(frozen=True, kw_only=True)
class Shifted(Objective):
    """A loss that is given log π of a step plus a constant.

    Attributes:
      inner: the loss.
      by: the constant.
    """

    name: ClassVar = "shifted"

    inner: Objective
    by: Number = number(0.0)
    length_normalise: bool = switch(True)

    def loss(self, c, progress):
        """Return the loss of log-probabilities that were moved; they are per step here."""
        return self.inner.loss(dataclasses.replace(c, logp=c.logp + self.by), progress)


def main() -> None:
    """Train agents under the loss for every shift, and write their returns by both actions."""
    discovery.start()
    described = discovery.describe("hopper-small")
    inner = mpo.objective(LOSS)
    losses = {f"{by:g}": Shifted(inner=inner, by=by) for by in SHIFTS}
    losses["orpo"] = mpo.objective("orpo", lam=0.3)
    found: dict[str, dict[str, list[list[float]]]] = {}
    for draw in range(DRAWS):
        ground = discovery.prepare(dataclasses.replace(
            described, data=(dataclasses.replace(described.data[0], seed=draw),)
        ))  # fmt: skip
        for action in ("sampled", "mean"):
            returns = discovery.evaluate(losses, ground, AGENTS, EPISODES, action=action)
            for name, own in returns.items():
                kept = [float(f"{value:.6g}") for value in own]
                found.setdefault(name, {}).setdefault(action, []).append(kept)
    about = {"loss": LOSS, "agents": AGENTS, "draws": DRAWS, "episodes": EPISODES}
    OUT.write_text(json.dumps({**about, "returns": found}, indent=1) + "\n")
    for name, own in found.items():
        words = ", ".join(
            f"{action} {np.mean(values):,.0f} ± {np.std(np.mean(values, axis=1), ddof=1):,.0f}"
            for action, values in own.items()
        )
        print(f"{name}: {words} (± deviation over {DRAWS} draws)")


if __name__ == "__main__":
    main()
