"""Landscapes: how hard an objective pulls on the chosen response and pushes on the rejected one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mpo.comparison import Comparison
from mpo.errors import RequestError
from mpo.objectives import Objective


@dataclass(frozen=True)
class Grid:
    """The square of per-step log-probabilities on which objectives are compared.

    Attributes:
      low, high: range of log π of the chosen and of the rejected response.
      points: points along each side.
      reference: log π_ref of both responses, for objectives that need one.
      reward_gap: reward of the chosen less that of the rejected, where needed.
    """

    low: float = -5.0
    high: float = -0.01
    points: int = 101
    reference: float = -2.5
    reward_gap: float = 1.0

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise RequestError(f"a landscape needs low < high, not {self.low} and {self.high}")
        if self.points < 2:
            raise RequestError(f"a landscape needs at least 2 points a side, not {self.points}")

    @property
    def axis(self) -> Float[Array, "points"]:
        """The values of log π along a side."""
        return jnp.linspace(self.low, self.high, self.points)


def landscape(
    objective: Objective, grid: Grid, progress: float = 0.0
) -> Float[Array, "chosen rejected 2"]:
    """Return |∂loss/∂log π(y_w)| and |∂loss/∂log π(y_l)| at every point of `grid`."""

    def pull(chosen: Float[Array, ""], rejected: Float[Array, ""]) -> Float[Array, "2"]:
        def loss(logp: Float[Array, "2"]) -> Float[Array, ""]:
            c = Comparison(
                logp=logp,
                length=jnp.ones(2),
                ref_logp=jnp.full(2, grid.reference),
                reward=jnp.array([grid.reward_gap, 0.0]),
            )
            return objective(c, progress)

        return jnp.abs(jax.grad(loss)(jnp.stack([chosen, rejected])))

    over = jax.vmap(jax.vmap(pull, in_axes=(None, 0)), in_axes=(0, None))
    return jax.jit(over)(grid.axis, grid.axis)


def draw(
    objectives: Mapping[str, Objective], grid: Grid, path: Path, progress: float = 0.0
) -> dict[str, np.ndarray]:
    """Draw the landscapes of named objectives on one colour scale; return what was drawn."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    drawn = {name: np.asarray(landscape(o, grid, progress)) for name, o in objectives.items()}
    top = max(float(np.percentile(values, 99)) for values in drawn.values())
    lowest = max(top * 1e-3, 1e-12)
    norm = LogNorm(vmin=lowest, vmax=max(top, 1e-9))
    figure = Figure(figsize=(2.9 * len(drawn) + 0.9, 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(drawn), squeeze=False, sharex=True, sharey=True)
    extent = (grid.low, grid.high, grid.low, grid.high)
    for column, (name, values) in enumerate(drawn.items()):
        axes[0, column].set_title(name)
        axes[1, column].set_xlabel("log π(rejected)")
        for row in range(2):
            image = axes[row, column].imshow(
                np.maximum(values[..., row], lowest),
                origin="lower", extent=extent, norm=norm, cmap="viridis", aspect="equal",
            )  # fmt: skip
            axes[row, column].axline(
                (grid.low, grid.low), slope=1, color="white", linewidth=0.7, linestyle=":"
            )
    for row, which in enumerate(("chosen", "rejected")):
        axes[row, 0].set_ylabel("log π(chosen)")
        bar = figure.colorbar(image, ax=axes[row, :], shrink=0.9)
        bar.set_label(f"|∂loss / ∂log π({which})|")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    return drawn
