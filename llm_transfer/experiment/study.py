"""The whole experiment: choose learning rates, then train and measure every cell."""

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

from llm_transfer.experiment.lab import Lab
from llm_transfer.experiment.ledger import BASE, TEST, TUNE, Cell, Ledger, Result
from llm_transfer.experiment.measure import measured
from llm_transfer.experiment.routes import finetuned
from llm_transfer.experiment.settings import Settings, objective_and_settings
from llm_transfer.trainers.pair_loss import PairLoss

TUNING_SEEDS = 1000  # those of tuning begin here, and are not those of the report
SPLIT = {TUNE: "validation", TEST: "test"}
Report = Callable[[int, int, Result], None]


def run(settings: Settings, folder: Path, report: Report | None = None) -> Ledger:
    """Run what is not yet in `folder`, and return all results.

    Args:
      settings: of the experiment.
      folder: to continue in, or to begin.
      report: is called with cells done, cells in all, and the result of each new one.

    Raises:
      RequestError: the settings, or what they name, can't be used.
    """
    losses = {text: _loss(text) for text in settings.objectives}  # before anything is written
    ledger, lab = Ledger(folder, settings), Lab(settings, folder)
    total = len(tuning_cells(settings)) + settings.seeds * (1 + len(losses))
    for number, cell in enumerate(_cells(settings, ledger), 1):
        if cell in ledger.results:
            continue
        result = _result(cell, lab, losses)
        ledger.add(result)
        if report is not None:
            report(number, total, result)
    return ledger


def tuning_cells(settings: Settings) -> list[Cell]:
    """Return the cells that choose learning rates: none where there is nothing to choose."""
    seeds = range(TUNING_SEEDS, TUNING_SEEDS + settings.tune_seeds)
    rates = sorted(set(settings.tune))
    return [
        Cell(TUNE, objective, seed, rate)
        for objective in settings.objectives
        for rate in rates
        for seed in seeds
    ]


def report_cells(settings: Settings, ledger: Ledger) -> list[Cell]:
    """Return the cells to report, seed by seed, so that an interruption leaves whole seeds."""
    rates = {text: chosen_rate(settings, ledger, text) for text in settings.objectives}
    return [
        cell
        for seed in range(settings.seeds)
        for cell in (
            Cell(TEST, BASE, seed),
            *(Cell(TEST, text, seed, rate) for text, rate in rates.items()),
        )
    ]


def chosen_rate(settings: Settings, ledger: Ledger, objective: str) -> float | None:
    """Return the learning rate of an objective: given, or best on the validation rows.

    A rate at which a seed diverged is no candidate, unless they all did. `None` while its
    tuning is not finished.
    """
    if not settings.tune:
        return settings.learning_rate
    scores = validation(settings, ledger, objective)
    return max(scores, key=scores.__getitem__) if scores else None


def validation(settings: Settings, ledger: Ledger, objective: str) -> dict[float, float]:
    """Return the metric to select by at each learning rate, on validation rows, over seeds.

    Minus infinity where one diverged; empty while the tuning is not finished. The greatest
    is also what objectives can be ranked by, before anything is seen of the test rows.
    """
    cells = [cell for cell in tuning_cells(settings) if cell.objective == objective]
    if any(cell not in ledger.results for cell in cells):
        return {}
    scores: dict[float, list[float]] = {}
    for cell in cells:
        value = ledger.results[cell].metrics.get(settings.selecting, -math.inf)
        scores.setdefault(float(cell.learning_rate or 0.0), []).append(value)
    return {rate: fmean(values) for rate, values in scores.items()}


def _cells(settings: Settings, ledger: Ledger) -> Iterator[Cell]:
    """Yield every cell; those to report when those that choose their learning rates are done."""
    yield from tuning_cells(settings)
    yield from report_cells(settings, ledger)


def _result(cell: Cell, lab: Lab, losses: dict[str, PairLoss]) -> Result:
    start = time.monotonic()
    try:
        model: Any = lab.base
        if cell.learning_rate is not None:
            rows = lab.training_rows(cell.seed)
            model = finetuned(lab, losses[cell.objective], rows, cell.learning_rate, cell.seed)
        metrics = measured(lab, model, SPLIT[cell.stage], cell.seed)
    except FloatingPointError:
        metrics = {}
    if not all(map(math.isfinite, metrics.values())):
        metrics = {}
    return Result(cell, metrics, time.monotonic() - start)


def _loss(text: str) -> PairLoss:
    import llm_transfer

    name, settings = objective_and_settings(text)
    return llm_transfer.torch_loss(name, **settings)
