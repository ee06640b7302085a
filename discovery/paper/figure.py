"""Figures of the paper: landscapes on one colour scale, with dots where a training went."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from discovery import markdown, situation, streams, trajectory
from discovery.evaluation import folder as evaluations
from discovery.evaluation.folder import Evaluation
from discovery.landscape import Grid, landscape
from discovery.paper.exhibit import Row
from discovery.paper.request import Made, Request, Say
from discovery.processes import all_devices
from discovery.report.page import Page
from discovery.streams import Purpose
from discovery.trajectory import Trajectory
from mpo import treefile
from mpo.objectives import Objective

DOTS = 400
"""At most so many dots in a panel."""
DECADES = 5
"""The colour scale shows at most so many powers of ten."""


def measure(request: Request, row: Row, out: Path, say: Say) -> None:
    """Record a training under every objective of a panel, unless it has been already."""
    asked = request.evaluation(row)
    for name in row.missing:
        say(f"{row.name}: {name} does not ship with this version, so it is not drawn")
    folder = _folder(out, row)
    if asked is None or _recorded(request, asked, folder) is not None:
        return
    say(f"{row.name}: preparing the data")
    ground = situation.prepare(asked.config, Purpose.EVALUATION, all_devices())
    key = streams.key(Purpose.EVALUATION, asked.config.seed)
    for (name, one), path in zip(asked.contestants.items(), _paths(asked, folder), strict=True):
        say(f"{row.name}: training under {name}")
        trajectory.record(one.objective, ground, key, agents=request.seeds or 1).save(path)
    text = json.dumps(_wanted(request, asked), indent=2) + "\n"
    treefile.replace(folder / "asked.json", text.encode())


def show(request: Request, out: Path) -> Made:
    """Draw the panels that are recorded, and return them as a page."""
    drawn = {}
    for row in request.exhibit.rows:
        asked = request.evaluation(row)
        seen = None if asked is None else _recorded(request, asked, _folder(out, row))
        if asked is None or seen is None:
            continue
        objectives = {
            column: asked.contestants[name].objective
            for column, name in row.objectives.items()
            if name in asked.contestants
        }
        dots = {column: seen[row.objectives[column]] for column in objectives}
        path = out / "figures" / f"{request.exhibit.name}-{row.name}.png"
        draw(objectives, dots, request.exhibit.moments, path, row.about)
        drawn[row.name] = path.name
    rows = [
        {"name": row.name, "missing": list(row.missing), "figure": drawn.get(row.name)}
        for row in request.exhibit.rows
    ]
    finished = len(drawn) == len(request.exhibit.rows)
    return Made(Page(request.exhibit.about, list(_parts(request, drawn)), out, finished), rows)


def draw(
    objectives: Mapping[str, Objective],
    seen: Mapping[str, Trajectory],
    moments: Sequence[float],
    path: Path,
    title: str,
) -> None:
    """Draw |∂loss/∂log π| of chosen and rejected response, a line of panels for each moment.

    Args:
      objectives: by name.
      seen: what a training under each of them saw; each line has the dots of its part of it.
      moments: of training, from 0 to 1.
      path: the picture to write.
      title: of it.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    grid = around(list(seen.values()))
    values = {
        (name, moment): np.asarray(landscape(objective, grid, moment))
        for name, objective in objectives.items()
        for moment in moments
    }
    norm = LogNorm(*scale(list(values.values())))
    size = (5.2 * len(objectives) + 1.0, 2.7 * len(moments) + 0.7)
    figure = Figure(figsize=size, layout="compressed")
    FigureCanvasAgg(figure)
    panels = figure.subplots(
        len(moments), 2 * len(objectives), squeeze=False, sharex=True, sharey=True
    )
    extent = (grid.low, grid.high, grid.low, grid.high)
    for line, moment in enumerate(moments):
        for place, name in enumerate(objectives):
            rejected, chosen = dots(seen[name], line, len(moments))
            for side, which in enumerate(("chosen", "rejected")):
                axes = panels[line, 2 * place + side]
                image = axes.imshow(
                    np.clip(values[name, moment][..., side], norm.vmin, norm.vmax),
                    origin="lower", extent=extent, norm=norm, cmap="viridis", aspect="equal",
                )  # fmt: skip
                axes.plot(rejected, chosen, ".", color="white", markersize=1.6, alpha=0.6)
                axes.set(xlim=extent[:2], ylim=extent[2:])
                if line == 0:
                    axes.set_title(f"{name}: |∂loss/∂log π({which})|", fontsize=9)
                if line == len(moments) - 1:
                    axes.set_xlabel("log π(rejected)")
        when = f"{moment:.0%} of training\n" if len(moments) > 1 else ""
        panels[line, 0].set_ylabel(f"{when}log π(chosen)")
    figure.colorbar(image, ax=panels, shrink=0.9)
    figure.suptitle(title, fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def around(seen: Sequence[Trajectory]) -> Grid:
    """Return the square that holds nearly all that was seen, the outermost hundredth left out."""
    values = np.concatenate([v for one in seen for v in (one.chosen.ravel(), one.rejected.ravel())])
    low, high = np.percentile(values[np.isfinite(values)], (1, 99))
    margin = 0.05 * (high - low) + 1e-3
    return Grid(low=float(low - margin), high=float(high + margin))


def scale(values: Sequence[np.ndarray]) -> tuple[float, float]:
    """Return the ends of a colour scale on which all landscapes can be told from each other."""
    together = np.concatenate([one.ravel() for one in values])
    together = together[np.isfinite(together) & (together > 0)]
    if together.size == 0:
        return 1e-3, 1.0
    low, high = np.percentile(together, (2, 99))
    return max(float(low), float(high) * 10.0**-DECADES), float(high) * 1.001


def dots(seen: Trajectory, part: int, parts: int) -> tuple[np.ndarray, np.ndarray]:
    """Return some log π of rejected and chosen responses, of one of equal parts of a training."""
    visited = seen.visited()
    own = np.flatnonzero(np.minimum(visited.progress * parts, parts - 1).astype(int) == part)
    some = np.random.default_rng(0).permutation(own)[:DOTS]
    return visited.rejected[some], visited.chosen[some]


def _recorded(request: Request, asked: Evaluation, folder: Path) -> dict[str, Trajectory] | None:
    """Return the trajectory of every objective, if `folder` has them of what is asked."""
    try:
        held = json.loads((folder / "asked.json").read_text())
    except (OSError, ValueError):
        return None
    if held != _wanted(request, asked):
        return None
    paths = _paths(asked, folder)
    return {
        name: trajectory.load(path) for name, path in zip(asked.contestants, paths, strict=True)
    }


def _wanted(request: Request, asked: Evaluation) -> dict[str, Any]:
    return {**evaluations.wanted(asked), "agents": request.seeds or 1}


def _paths(asked: Evaluation, folder: Path) -> list[Path]:
    return [folder / f"{number}.npz" for number, _ in enumerate(asked.contestants)]


def _folder(out: Path, row: Row) -> Path:
    return out / "rows" / row.name


def _parts(request: Request, drawn: Mapping[str, str]) -> Iterator[str]:
    agents = request.seeds or 1
    yield (
        "Absolute gradients of the loss in the log-probability per step of the chosen and of the "
        "rejected response, all on one colour scale. Dots are comparisons of the data as "
        f"{'an agent' if agents == 1 else f'{agents} agents'} saw them while training under that "
        f"objective. Scale {request.scale} ({request.size.about})."
    )
    for row in request.exhibit.rows:
        yield f"## {markdown.escaped(row.about)}"
        for name in row.missing:
            yield f"`{name}` does not ship with this version, so it is not drawn."
        if row.name in drawn:
            yield f"![{markdown.escaped(row.about)}](<figures/{drawn[row.name]}>)"
    yield "## How it was made"
    yield markdown.fenced(request.command, "sh")
