"""Where losses stand: what each earns in a column, its share of the expert's return, its rank."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from discovery.evidence import statistics
from discovery.evidence.returns import LOG_STD, OF_ACTION
from discovery.evidence.statistics import Estimate
from discovery.leaderboard.board import Board, Fault, Ground, Loss
from discovery.leaderboard.making import Results

AGAINST = "orpo"
"""The loss that others are compared with."""
_UNITS = ("datasets", "agents")


@dataclass(frozen=True)
class Standing:
    """A loss in a column.

    Attributes:
      values: returns of its agents, shape [draws, agents].
      estimate: their mean, with an interval over draws.
      share: of the expert's return by the same action.
      rank: from 1, among all losses that are measured in the column.
      log_std: mean log-std of its agents; `None` where actions do not spread.
      gap: how much more it earns than `AGAINST`, paired by draw and agent; `None` without that.
      p: p-value of the gap, adjusted over the column.
      point: the settings it was measured with, by their paths.
    """

    values: Float[np.ndarray, "draws agents"]
    estimate: Estimate
    share: float
    rank: int
    log_std: float | None
    gap: Estimate | None
    p: float
    point: dict[str, float]


def actions(results: Results, board: Board, ground: Ground) -> tuple[str, ...]:
    """Return the actions by which agents of a task are measured, those by the mean first."""
    losses, faults = board.of(ground)
    cells = (results.cell(ground, loss, fault) for loss in losses for fault in faults)
    first = next((cell for cell in cells if cell is not None), None)
    return () if first is None else tuple(reversed([a for a in OF_ACTION if a in first["best"]]))


def column(
    results: Results, ground: Ground, fault: Fault, losses: Sequence[Loss], action: str
) -> dict[str, Standing]:
    """Return the standing of every loss that is measured in a column, by name, the best first.

    An agent that failed has earned nothing: a loss that sometimes fails is not judged by the
    agents it left whole.
    """
    cells = {loss.name: results.cell(ground, loss, fault) for loss in losses}
    best = {name: cell["best"][action] for name, cell in cells.items() if cell is not None}
    measure, about = OF_ACTION[action], results.column(ground, fault)
    if not best or about is None:
        return {}
    expert = about["authors"]["expert"][measure]
    values = {name: np.array(own[measure], float) for name, own in best.items()}
    worth = {name: float(np.mean(np.nan_to_num(own))) for name, own in values.items()}
    gaps = {name: _gap(own, values.get(AGAINST)) for name, own in values.items()}
    compared = [name for name in best if name != AGAINST and gaps[name] is not None]
    adjusted = dict(
        zip(compared, statistics.holm([_p(gaps[name]) for name in compared]), strict=True)
    )
    order = sorted(best, key=lambda name: -worth[name])
    return {
        name: Standing(
            values=values[name],
            estimate=statistics.estimate(values[name], _UNITS),
            share=worth[name] / expert,
            rank=rank,
            log_std=_mean(best[name].get(LOG_STD)),
            gap=gaps[name] if name in adjusted else None,
            p=adjusted.get(name, float("nan")),
            point=best[name]["point"],
        )
        for rank, name in enumerate(order, 1)
    }


def _gap(own: np.ndarray, against: np.ndarray | None) -> Estimate | None:
    if against is None:
        return None
    agents = min(own.shape[1], against.shape[1])
    gaps = np.nan_to_num(own[:, :agents]) - np.nan_to_num(against[:, :agents])
    return statistics.estimate(gaps, _UNITS)


def _p(gap: Estimate | None) -> float:
    return float("nan") if gap is None else gap.p


def _mean(values: Any) -> float | None:
    return None if values is None else float(np.nanmean(np.array(values, float)))
