"""Figures of runs and of evaluations."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from discovery.evidence import statistics


def search_curve(
    lines: Sequence[Mapping[str, Any]], path: Path, levels: Mapping[str, float], caption: str
) -> None:
    """Draw fitness over generations: all members, the middle of the search, and the start.

    Middle and start are trained and measured in every generation with the same keys as the
    members, so that the distance between them is what the search gained.

    Args:
      lines: the lines of a run's `metrics.jsonl`, one for each generation.
      path: the picture to write.
      levels: returns to draw as horizontal lines, by name.
      caption: the command that made the numbers.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    def column(name: str) -> np.ndarray:
        return np.array([np.nan if l[name] is None else l[name] for l in lines], float)  # noqa: E741

    generations = column("generation") + 1
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.fill_between(
        generations, column("worst"), column("best"), color="C0", alpha=0.15, linewidth=0,
        label="members, worst to best",
    )  # fmt: skip
    axes.plot(generations, column("mean"), color="C0", label="members, mean")
    axes.plot(generations, column("middle"), color="C3", linewidth=2, label="middle of the search")
    axes.plot(generations, column("start"), color="0.4", linestyle="--", label="start (ORPO)")
    for (name, value), style in zip(levels.items(), (":", "-.", "--"), strict=False):
        axes.axhline(value, color="C2", linestyle=style, linewidth=1, label=f"{name} of the data")
    axes.set(xlabel="generation", ylabel="mean true return", title=caption)
    axes.title.set_fontsize(9)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, edgecolor="none")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def seeds_chart(
    returns: Mapping[str, np.ndarray],
    path: Path,
    levels: Mapping[str, float],
    caption: str,
    by_mean: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Draw the return of every seed under every objective, with means and standard errors.

    Args:
      returns: mean return of the agent of each seed, by objective; those that are not finite
        are left out.
      path: the picture to write.
      levels: returns to draw as vertical lines, by name.
      caption: the command that made the numbers.
      by_mean: returns by the agents' mean action, where they were measured; drawn below those by
        sampled actions, of which `returns` are then.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 1.3 + 0.42 * len(returns)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    drawn = [(returns, 0.0, "C0", "by sampled actions")]
    if by_mean is not None:
        drawn = [(returns, -0.15, "C0", "by sampled actions"), (by_mean, 0.15, "C1", "by the mean")]
    for measured, below, colour, label in drawn:
        for place, own in enumerate(measured.values()):
            finite, at = own[np.isfinite(own)], place + below
            axes.plot(
                finite, np.full(finite.size, at), "o", color=colour, alpha=0.35, markersize=4,
                label=label if by_mean is not None and place == 0 else None,
            )  # fmt: skip
            found = statistics.mean(own)
            axes.errorbar(found.mean, at, xerr=found.standard_error, fmt="D", color="C3", capsize=3)
    for (name, value), style in zip(levels.items(), (":", "-.", "--"), strict=False):
        axes.axvline(value, color="C2", linestyle=style, linewidth=1, label=name)
    axes.set(xlabel="mean true return of an agent", title=caption, yticks=range(len(returns)))
    axes.set_yticklabels(list(returns))
    axes.set_ylim(len(returns) - 0.5, -0.5)
    axes.title.set_fontsize(9)
    axes.grid(axis="x", alpha=0.25)
    if levels or by_mean is not None:
        figure.legend(fontsize=8, frameon=False, loc="outside lower center", ncols=3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
