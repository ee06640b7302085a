"""The figure of a task's board: a heat map of shares of the expert, with ranks written in it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from discovery.leaderboard.standing import Standing

_COLOURS = {
    "likelihood": "#444444",
    "pairs": "#1f4e9c",
    "pairs and reference": "#7a3fa0",
    "reward": "#a05a00",
    "found": "#b0112b",
}
"""Of the names of losses, by what they read."""


def heat_map(
    panels: Mapping[str, Mapping[str, Mapping[str, Standing]]],
    rows: Sequence[str],
    groups: Mapping[str, str],
    path: Path,
    caption: str,
) -> None:
    """Draw a panel for each action: losses by faults, gaps left white.

    Args:
      panels: standings by loss, by fault, by the title of a panel.
      rows: losses from the top.
      groups: what each loss reads.
      path: the picture to write.
      caption: what the colours and the numbers are.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    widths = [max(len(found), 1) for found in panels.values()]
    figure = Figure(
        figsize=(2.6 + 0.62 * sum(widths), 1.9 + 0.24 * len(rows)), layout="constrained"
    )
    FigureCanvasAgg(figure)
    drawn = figure.subplots(1, len(widths), width_ratios=widths, squeeze=False)[0]
    picture = None
    for place, (axes, (title, found)) in enumerate(zip(drawn, panels.items(), strict=True)):
        shares = np.array(
            [[own[row].share if row in own else np.nan for own in found.values()] for row in rows]
        )
        picture = axes.imshow(shares, cmap="RdYlGn", vmin=0.3, vmax=1.0, aspect="auto")
        for y, row in enumerate(rows):
            for x, own in enumerate(found.values()):
                if row in own:
                    best = own[row].rank == 1
                    axes.text(
                        x, y, str(own[row].rank), ha="center", va="center", fontsize=7.5,
                        fontweight="bold" if best else "normal",
                    )  # fmt: skip
        axes.set_xticks(range(len(found)), list(found), rotation=55, ha="right", fontsize=8)
        axes.set_yticks(range(len(rows)), rows if place == 0 else [""] * len(rows), fontsize=8)
        for label, row in zip(axes.get_yticklabels(), rows, strict=True):
            label.set_color(_COLOURS.get(groups.get(row, ""), "black"))
        axes.set_title(title, fontsize=9)
        axes.tick_params(length=0)
        for side in axes.spines.values():
            side.set_visible(False)
    if picture is not None:
        bar = figure.colorbar(picture, ax=list(drawn), shrink=0.6, pad=0.01)
        bar.ax.tick_params(labelsize=7)
        bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    handles = [Patch(color=colour, label=group) for group, colour in _COLOURS.items()]
    figure.legend(
        handles=handles, loc="outside lower left", ncols=3, fontsize=7, frameon=False,
        handlelength=1, columnspacing=1,
    )  # fmt: skip
    figure.suptitle(caption, fontsize=9, x=0.01, ha="left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
