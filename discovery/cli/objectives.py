"""`discovery landscape`: what the gradients of objectives look like."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from discovery.cli.output import JSON, show_json

if TYPE_CHECKING:
    from discovery.evidence.landscape import Grid
    from discovery.evidence.trajectory import Trajectory

DEFAULT = Path("landscapes")
BASELINE = "orpo"


def landscape(
    names: list[str] = typer.Argument(
        help="Objectives to draw side by side: names, folders of runs or found/…. One that was "
        "found stands beside ORPO."
    ),
    out: Path = typer.Option(DEFAULT, help="Folder for landscape.png and landscape.npz."),
    low: float | None = typer.Option(
        None, help="Lowest log-probability per step.", show_default="around the trajectory, or -5"
    ),
    high: float | None = typer.Option(
        None, help="Highest log-probability per step.", show_default="around it, or -0.01"
    ),
    points: int = typer.Option(101, help="Points along each side."),
    progress: list[float] = typer.Option(
        [0.0, 0.5, 1.0],
        min=0.0,
        max=1.0,
        help="Moment of training, 0 to 1, for objectives that change with it; repeat.",
    ),
    trajectory: Path | None = typer.Option(
        None, help="A recorded training to draw on all; a run's own is drawn on what it found."
    ),
    as_json: bool = JSON,
) -> None:
    """Draw |∂loss/∂log π| of the chosen and the rejected response, on one colour scale.

    Example: discovery landscape dpo simpo orpo --out landscapes
    """
    import numpy as np

    from mpo import OBJECTIVES, objective

    objectives = {name: objective(name) for name in names}
    if len(names) == 1 and names[0] not in OBJECTIVES:
        objectives = {BASELINE: objective(BASELINE), **objectives}
    visited = _trajectories(list(objectives), trajectory)
    grid = _grid(visited, low, high, points)
    out.mkdir(parents=True, exist_ok=True)
    print("drawing", file=sys.stderr, flush=True)
    from discovery.evidence.landscape import draw

    drawn = draw(objectives, grid, out / "landscape.png", progress, visited)
    np.savez(out / "landscape.npz", allow_pickle=False, log_pi=grid.axis, **drawn)
    peaks = {
        name: {"chosen": float(v[..., 0].max()), "rejected": float(v[..., 1].max())}
        for name, v in drawn.items()
    }
    if as_json:
        show_json({"figure": str(out / "landscape.png"), "largest": peaks})
        return
    for name, peak in peaks.items():
        print(
            f"{name}: largest |∂loss/∂log π| {peak['chosen']:.3g} (chosen), "
            f"{peak['rejected']:.3g} (rejected)"
        )
    print(f"drawn in {out / 'landscape.png'}")


def _trajectories(names: list[str], given: Path | None) -> "dict[str, Trajectory]":
    """Return the trajectory to draw on each objective: the given one, or that of its run."""
    from discovery.evidence import trajectory
    from mpo import OBJECTIVES

    if given is not None:
        return dict.fromkeys(names, trajectory.load(given))
    paths = {name: Path(name) / trajectory.FILE for name in names if name not in OBJECTIVES}
    return {name: trajectory.load(path) for name, path in paths.items() if path.exists()}


def _grid(
    trajectories: "dict[str, Trajectory]", low: float | None, high: float | None, points: int
) -> "Grid":
    from discovery.evidence.landscape import Grid

    around = Grid.around(list(trajectories.values()), points)
    return Grid(
        low=around.low if low is None else low,
        high=around.high if high is None else high,
        points=points,
    )
