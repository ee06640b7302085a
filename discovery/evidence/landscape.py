"""Landscapes: how hard an objective pulls on the chosen response and pushes on the rejected one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from discovery.evidence.trajectory import Trajectory
from mpo.comparison import Comparison
from mpo.errors import RequestError
from mpo.objectives import Objective

MOMENTS: Final = (0.0, 0.5, 1.0)
"""Where in training an objective that is aware of progress is looked at."""

_DOTS: Final = 24  # comparisons of a trajectory that are drawn at each moment


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

    @classmethod
    def around(cls, trajectories: Sequence[Trajectory], points: int = 101) -> "Grid":
        """Return the square where trainings live; the default one, if none is given."""
        if not trajectories:
            return cls(points=points)
        visited = [one.visited() for one in trajectories]
        both = np.concatenate([side for one in visited for side in (one.chosen, one.rejected)])
        low, high = (float(edge) for edge in np.quantile(both, (0.005, 0.995)))
        margin = 0.05 * (high - low) + 1e-3
        return cls(low - margin, high + margin, points)

    @property
    def axis(self) -> Float[Array, "points"]:
        """The values of log π along a side."""
        return jnp.linspace(self.low, self.high, self.points)


@dataclass(frozen=True, eq=False)
class Panel:
    """An objective at a moment of training, drawn as a column: pull above, push below.

    Attributes:
      title: the words over the column.
      values: |∂loss/∂log π(y_w)| and |∂loss/∂log π(y_l)| at every point of the grid.
      visited: the moments of a trajectory that belong to it.
    """

    title: str
    values: Float[np.ndarray, "chosen rejected 2"]
    visited: Trajectory | None


def landscape(
    objective: Objective, grid: Grid, progress: float = 0.0
) -> Float[Array, "chosen rejected 2"]:
    """Return |∂loss/∂log π(y_w)| and |∂loss/∂log π(y_l)| at every point of `grid`."""
    reward = jnp.array([grid.reward_gap, 0.0])
    reference = jnp.full(2, grid.reference)
    return _landscape(objective, grid.axis, reference, reward, jnp.asarray(progress, float))


@jax.jit
def _landscape(
    objective: Objective,
    axis: Float[Array, "points"],
    reference: Float[Array, "2"],
    reward: Float[Array, "2"],
    progress: Float[Array, ""],
) -> Float[Array, "points points 2"]:
    def pull(chosen: Float[Array, ""], rejected: Float[Array, ""]) -> Float[Array, "2"]:
        def loss(logp: Float[Array, "2"]) -> Float[Array, ""]:
            c = Comparison(
                logp=logp,
                length=jnp.ones(2),
                ref_logp=reference,
                reward=reward,
                sampled_logp=jax.lax.stop_gradient(logp),  # of a response just written
                credit=reward - jnp.mean(reward),
            )
            return objective(c, progress)

        return jnp.abs(jax.grad(loss)(jnp.stack([chosen, rejected])))

    return jax.vmap(jax.vmap(pull, in_axes=(None, 0)), in_axes=(0, None))(axis, axis)


def panels(
    objectives: Mapping[str, Objective],
    grid: Grid,
    moments: Sequence[float] = MOMENTS,
    trajectories: Mapping[str, Trajectory] | None = None,
) -> Iterator[Panel]:
    """Yield the landscapes of named objectives, one at each moment for those that change.

    Args:
      objectives: what the landscapes are of, by the title of their panels.
      grid: log-probabilities at which gradients are taken.
      moments: of training, as progress from 0 to 1.
      trajectories: of a training under some of them, by name.
    """
    for name, objective in objectives.items():
        then = [np.asarray(landscape(objective, grid, progress)) for progress in moments]
        trajectory = (trajectories or {}).get(name)
        if all(np.array_equal(values, then[0]) for values in then):
            yield Panel(name, then[0], trajectory)
            continue
        for number, (progress, values) in enumerate(zip(moments, then, strict=True)):
            own = None if trajectory is None else _nearest(trajectory, moments, number)
            yield Panel(f"{name} at {progress:.0%}", values, own)


def draw(
    objectives: Mapping[str, Objective],
    grid: Grid,
    path: Path,
    moments: Sequence[float] = MOMENTS,
    trajectories: Mapping[str, Trajectory] | None = None,
) -> dict[str, np.ndarray]:
    """Draw the landscapes of named objectives on one colour scale; return what was drawn.

    Trajectories are drawn as dots, a few comparisons of each moment, and as a line through
    their means. The arguments are those of `panels`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    drawn = list(panels(objectives, grid, moments, trajectories))
    top = max(float(np.percentile(panel.values, 99)) for panel in drawn)
    lowest = max(top * 1e-3, 1e-12)
    norm = LogNorm(vmin=lowest, vmax=max(top, 1e-9))
    dotted = any(panel.visited is not None for panel in drawn)
    size = (2.75 * len(drawn) + 1.7, 6.4 if dotted else 5.6)
    figure = Figure(figsize=size, layout="compressed")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(drawn), squeeze=False, sharex=True, sharey=True)
    extent = (grid.low, grid.high, grid.low, grid.high)
    dots = None
    for column, panel in enumerate(drawn):
        axes[0, column].set_title(panel.title, fontsize=10)
        axes[1, column].set_xlabel("log π(rejected)")
        for row in range(2):
            own = axes[row, column]
            image = own.imshow(
                np.maximum(panel.values[..., row], lowest),
                origin="lower", extent=extent, norm=norm, cmap="viridis", aspect="equal",
            )  # fmt: skip
            own.axline((grid.low, grid.low), slope=1, color="white", linewidth=0.7, linestyle=":")
            if panel.visited is not None:
                dots = _scatter(own, panel.visited)
            own.set(xlim=(grid.low, grid.high), ylim=(grid.low, grid.high))
    for row, what in enumerate(("pull on the chosen", "push on the rejected")):
        axes[row, 0].set_ylabel(f"{what}\n\nlog π(chosen)")
    bar = figure.colorbar(image, ax=axes, shrink=0.6, aspect=30)
    bar.set_label("|∂loss / ∂log π|")
    if dots is not None:
        bar = figure.colorbar(dots, ax=axes, location="bottom", shrink=0.5, aspect=40)
        bar.set_label("progress of training")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130, bbox_inches="tight")
    return {panel.title: panel.values for panel in drawn}


def _nearest(trajectory: Trajectory, moments: Sequence[float], number: int) -> Trajectory:
    """Return those moments of a trajectory that are nearest to this one of `moments`."""
    gaps = np.abs(trajectory.progress[:, None] - np.asarray(moments)[None])
    own = np.argmin(gaps, axis=1) == number
    return Trajectory(trajectory.progress[own], trajectory.chosen[own], trajectory.rejected[own])


def _scatter(axes: Any, trajectory: Trajectory) -> Any:
    """Draw comparisons as dots, and their means as larger ones on a line."""
    every = max(trajectory.chosen.shape[1] // _DOTS, 1)
    chosen, rejected = trajectory.chosen[:, ::every], trajectory.rejected[:, ::every]
    progress = np.broadcast_to(trajectory.progress[:, None], chosen.shape)
    look = {"cmap": "RdPu", "vmin": 0.0, "vmax": 1.0, "linewidths": 0.0}
    axes.scatter(rejected, chosen, c=progress, s=3, alpha=0.55, **look)
    means = [np.mean(side, axis=1) for side in (trajectory.rejected, trajectory.chosen)]
    axes.plot(*means, color="black", linewidth=0.8)
    look |= {"linewidths": 0.6, "edgecolors": "black"}
    return axes.scatter(*means, c=trajectory.progress, s=22, zorder=3, **look)
