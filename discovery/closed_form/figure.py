"""The figure of a front: error against size, and the slopes of both potentials."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from discovery.closed_form.fitting import Front
from discovery.closed_form.point import PAPER, Point
from discovery.closed_form.problem import Graph
from mpo.potentials import Potential

_LINES = ("solid", "dashed")  # at the start of training, at its end


def draw(front: Front, path: Path) -> None:
    """Draw the front, and below each slope how often training was there."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.0, 3.9), layout="constrained")
    FigureCanvasAgg(figure)
    sizes, psi, phi_inv = figure.subplots(1, 3)
    _sizes(sizes, front.points)
    visited = front.trajectory.visited()
    both = np.concatenate([visited.chosen, visited.rejected])
    _slopes(psi, front, "psi", visited.chosen)
    _slopes(phi_inv, front, "phi_inv", both)
    psi.set(title="ψ, what a likely chosen response is worth", ylabel="slope dψ / d log π")
    phi_inv.set(title="λ φ⁻¹, the implicit reward", ylabel="slope λ dφ⁻¹ / d log π")
    phi_inv.legend(fontsize=8, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def _sizes(axes: Any, points: Sequence[Point]) -> None:
    front = [point for point in points if point.name != PAPER]
    axes.plot([p.size for p in front], [100 * p.error for p in front], "o-", color="C0")
    paper = next(point for point in points if point.name == PAPER)
    axes.plot(paper.size, 100 * paper.error, "D", color="C3", label="α log π + λ log σ(β Δ log π)")
    axes.set(xlabel="terms in ψ and φ⁻¹", ylabel="error of the gradient, %", title="The front")
    axes.set_xticks(range(1, max(point.size for point in points) + 1))
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, frameon=False)


def _slopes(axes: Any, front: Front, which: str, visited: np.ndarray) -> None:
    low, high = np.quantile(visited, (0.002, 0.998))
    at = np.linspace(low, high, 200, dtype=np.float32)
    moments = (0.0, 1.0) if front.temporal else (0.0,)
    top = 0.0
    for name, colour, width, graph in _shown(front, which):
        for progress, line in zip(moments, _LINES, strict=False):
            slope = _slope(graph, at, progress)
            top = max(top, float(np.max(slope)))
            label = name if progress == 0.0 else None
            axes.plot(at, slope, color=colour, linestyle=line, linewidth=width, label=label)
    counts, edges = np.histogram(visited, bins=60, range=(low, high))
    axes.stairs(0.25 * top * counts / counts.max(), edges, fill=True, color="0.9", zorder=0)
    axes.set(xlabel="log π", ylim=(0, 1.05 * top))


def _shown(front: Front, which: str) -> Iterator[tuple[str, str, float, Graph]]:
    """Yield ψ, or λ φ⁻¹, of all there is to draw, with its name, colour and width of line."""
    colours = iter(("C0", "C1", "C2", "C4", "C5", "C6", "C7", "C8", "C9"))
    found: Potential = getattr(front.objective, which)
    yield "as found", "black", 2.5, _scaled(found, float(front.objective.lam), which)
    for point in front.points:
        graph = _scaled(point.potential(which), point.lam, which)
        if point.name == PAPER:
            yield "the paper's form", "C3", 1.3, graph
        elif point.size > 1:
            yield f"{point.size} terms", next(colours, "0.5"), 1.3, graph


def _scaled(potential: Potential, lam: float, which: str) -> Graph:
    """Return φ⁻¹ times λ, as formulas share what they have between the two; ψ as it is."""
    scale = lam if which == "phi_inv" else 1.0
    return lambda log_x, progress: scale * potential(log_x, progress)


def _slope(graph: Graph, log_x: np.ndarray, progress: float) -> np.ndarray:
    slopes = jax.jit(jax.vmap(jax.grad(graph), in_axes=(0, None)))
    return np.asarray(slopes(jnp.asarray(log_x), jnp.float32(progress)))
