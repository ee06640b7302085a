"""`discovery landscape`: what the gradients of objectives look like."""

from pathlib import Path

import typer

from discovery.cli.output import JSON, show_json
from mpo import objective

DEFAULT = Path("landscapes")


def landscape(
    names: list[str] = typer.Argument(help="Objectives to draw side by side, by name."),
    out: Path = typer.Option(DEFAULT, help="Folder for landscape.png and landscape.npz."),
    low: float = typer.Option(-5.0, help="Lowest log-probability per step."),
    high: float = typer.Option(-0.01, help="Highest log-probability per step."),
    points: int = typer.Option(101, help="Points along each side."),
    progress: float = typer.Option(0.0, min=0.0, max=1.0, help="Moment of training, 0 to 1."),
    as_json: bool = JSON,
) -> None:
    """Draw |∂loss/∂log π| of the chosen and the rejected response, on one colour scale.

    Example: discovery landscape dpo simpo orpo --out landscapes
    """
    import numpy as np

    from discovery.landscape import Grid, draw

    objectives = {name: objective(name) for name in names}
    grid = Grid(low=low, high=high, points=points)
    drawn = draw(objectives, grid, out / "landscape.png", progress)
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
