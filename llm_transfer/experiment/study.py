"""The whole experiment: choose learning rates, then train and measure every cell."""

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from llm_transfer.experiment.lab import Lab
from llm_transfer.experiment.ledger import (
    BASE,
    RESULTS,
    TEST,
    TUNE,
    Cell,
    Ledger,
    Result,
    check,
)
from llm_transfer.experiment.measure import measured
from llm_transfer.experiment.routes import finetuned
from llm_transfer.experiment.settings import Settings, objective_and_settings
from llm_transfer.snippets.torch_loss import TorchLoss, torch_loss
from llm_transfer.trainers.rows import REWARD
from mpo.claim import locked
from mpo.errors import RequestError
from mpo.expressions import digest

TUNING_SEEDS = 1000  # those of tuning begin here, and are not those of the report
SPLIT = {TUNE: "validation", TEST: "test"}
Report = Callable[[int, int, Result], None]
Losses = Mapping[str, TorchLoss]


def run(settings: Settings, folder: Path, report: Report | None = None) -> Ledger:
    """Run what is not yet in `folder`, and return all results.

    Args:
      settings: of the experiment.
      folder: to continue in, or to begin.
      report: is called with cells done, cells in all, and the result of each new one.

    Raises:
      RequestError: the settings, or what they name, can't be used; or another process is at
        work in the folder.
    """
    losses = {text: _loss(text) for text in settings.objectives}  # before anything is written
    total = len(tuning_cells(settings)) + settings.seeds * (1 + len(losses))
    return _filled(settings, folder, losses, _cells, total, report)


def tune(settings: Settings, folder: Path, losses: Losses, report: Report | None = None) -> Ledger:
    """Run what is missing of the cells that choose learning rates, and return all results.

    Args:
      settings: of the experiment.
      folder: to continue in, or to begin.
      losses: what the objectives of the settings stand for.
      report: is told of every cell that is finished.
    """
    cells = tuning_cells(settings)
    return _filled(settings, folder, losses, lambda *_: iter(cells), len(cells), report)


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
    """Return the metric to select by at each learning rate, a mean over seeds.

    The greatest is also what objectives can be ranked by, before anything is seen of the
    test rows.
    """
    found = by_rate(settings, ledger, objective)
    return {rate: fmean(values) for rate, values in found.items()}


def by_rate(settings: Settings, ledger: Ledger, objective: str) -> dict[float, list[float]]:
    """Return the metric to select by at each learning rate, on validation rows, seed by seed.

    Minus infinity where it diverged; empty while the tuning is not finished.
    """
    cells = [cell for cell in tuning_cells(settings) if cell.objective == objective]
    if any(cell not in ledger.results for cell in cells):
        return {}
    scores: dict[float, list[float]] = {}
    for cell in cells:
        value = ledger.results[cell].metrics.get(settings.selecting, -math.inf)
        scores.setdefault(float(cell.learning_rate or 0.0), []).append(value)
    return scores


def _cells(settings: Settings, ledger: Ledger) -> Iterator[Cell]:
    """Yield every cell; those to report when those that choose their learning rates are done."""
    yield from tuning_cells(settings)
    yield from report_cells(settings, ledger)


def _filled(
    settings: Settings,
    folder: Path,
    losses: Losses,
    cells: Callable[[Settings, Ledger], Iterator[Cell]],
    total: int,
    report: Report | None,
) -> Ledger:
    digests = _digests(settings, losses)
    check(folder, settings, digests)
    lab = Lab(settings, folder)
    _check_rewards(lab, losses)
    if not (folder / RESULTS).exists():
        lab.load()  # before anything is written
    with locked(folder):
        ledger = Ledger(folder, settings, digests)
        for number, cell in enumerate(cells(settings, ledger), 1):
            if cell in ledger.results:
                continue
            result = _result(cell, lab, losses)
            ledger.add(result)
            if report is not None:
                report(number, total, result)
        return ledger


def _result(cell: Cell, lab: Lab, losses: Losses) -> Result:
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


def _digests(settings: Settings, losses: Losses) -> dict[str, str]:
    """Return a word for the content of every objective, and of the file of rows."""
    found = {f"objective {text}": digest(loss.formula) for text, loss in losses.items()}
    data = Path(settings.data)
    if data.suffix == ".jsonl" and data.is_file():
        found[f"data {data}"] = hashlib.sha256(data.read_bytes()).hexdigest()[:16]
    return found


def _check_rewards(lab: Lab, losses: Losses) -> None:
    needing = [text for text, loss in losses.items() if loss.needs_reward]
    if not needing:
        return
    if lab.settings.shuffled:
        raise RequestError(
            f"objective {needing[0]} needs rewards, and the responses that --shuffled puts in "
            "have none: leave out one of the two"
        )
    if any(row.get(name) is None for row in lab.splits.train for name in REWARD):
        raise RequestError(
            f"objective {needing[0]} needs rewards: give all rows of {lab.settings.data} the "
            "columns chosen_reward and rejected_reward"
        )


def _loss(text: str) -> TorchLoss:
    name, settings = objective_and_settings(text)
    return torch_loss(name, **settings)
