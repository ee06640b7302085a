"""The tables of an experiment: means over seeds, and paired differences to the first objective."""

import dataclasses
from statistics import fmean
from typing import Any, Final

import numpy as np

from discovery.evidence.statistics import difference, mean
from llm_transfer.experiment.ledger import BASE, TEST, Ledger, Result
from llm_transfer.experiment.settings import Settings
from llm_transfer.experiment.study import chosen_rate, validation

# What the printed tables show; the JSON has the rest.
SHOWN: Final = ("accuracy", "ratio_accuracy", "win_rate", "reward", "kl", "length")
COMPARED: Final = ("accuracy", "ratio_accuracy", "win_rate", "reward")


def summary(settings: Settings, ledger: Ledger) -> dict[str, Any]:
    """Return what is to be shown, ready for JSON.

    Each objective has its learning rate, whether that is the least or greatest of those tried (a
    better one may lie beyond), and the best value of the metric that chose it, on validation
    rows; its seeds, and how many diverged; of each metric the mean
    over the others with its standard error, and the difference to the first objective, seed
    by seed, with a 95 % bootstrap interval and a paired test.
    """
    first = _finished(settings, ledger, settings.objectives[0])
    rows = {name: _row(settings, ledger, name, first) for name in (BASE, *settings.objectives)}
    return {
        "settings": settings.fixed,
        "learning_rate": _how_chosen(settings),
        "compared_to": settings.objectives[0],
        "rows": {name: row for name, row in rows.items() if row is not None},
    }


def markdown(found: dict[str, Any]) -> str:
    """Return the tables of a summary, as Markdown that also reads as text."""
    rows = found["rows"]
    seen = {metric for row in rows.values() for metric in row["metrics"]}
    shown = [metric for metric in SHOWN if metric in seen]
    means = [["objective", "rate", "seeds", *shown]]
    for name, row in rows.items():
        rate = "" if row["learning_rate"] is None else f"{row['learning_rate']:g}"
        rate += " (edge)" if row["edge"] else ""
        seeds = str(row["seeds"]) + (f", {row['diverged']} diverged" if row["diverged"] else "")
        means.append([name, rate, seeds, *(_mean(row["metrics"].get(m)) for m in shown)])
    first = found["compared_to"]
    others = [name for name in rows if name not in (BASE, first)]
    text = _table(means)
    if not others:
        return text
    compared = [metric for metric in COMPARED if metric in seen]
    gaps = [[f"minus {first}", *compared]]
    gaps += [[name, *(_gap(rows[name]["metrics"].get(m)) for m in compared)] for name in others]
    return f"{text}\n\n{_table(gaps)}"


def _how_chosen(settings: Settings) -> str:
    if not settings.tune:
        return "given"
    rates = len(set(settings.tune))
    return (
        f"the best of {rates} by {settings.selecting} on validation rows, "
        f"{settings.tune_seeds} seeds each"
    )


def _row(
    settings: Settings, ledger: Ledger, name: str, first: dict[int, Result]
) -> dict[str, Any] | None:
    found = _finished(settings, ledger, name)
    if not found:
        return None
    names = next((tuple(result.metrics) for result in found.values() if result.metrics), ())
    rate = next(iter(found.values())).cell.learning_rate
    return {
        "learning_rate": rate,
        "edge": len(set(settings.tune)) > 1 and rate in (min(settings.tune), max(settings.tune)),
        "validation": _known(max(validation(settings, ledger, name).values(), default=np.nan)),
        "seeds": len(found),
        "diverged": sum(result.diverged for result in found.values()),
        "seconds": fmean(result.seconds for result in found.values()),
        "metrics": {metric: _numbers(found, first, metric) for metric in names},
    }


def _numbers(found: dict[int, Result], first: dict[int, Result], metric: str) -> dict[str, Any]:
    shared = sorted(found.keys() & first.keys())
    gap = difference(_values(found, shared, metric), _values(first, shared, metric))
    over_seeds = mean(_values(found, sorted(found), metric))
    return {
        "mean": over_seeds.mean,
        "standard_error": _known(over_seeds.standard_error),
        "difference": {name: _known(x) for name, x in dataclasses.asdict(gap).items()},
    }


def _finished(settings: Settings, ledger: Ledger, name: str) -> dict[int, Result]:
    rate = None if name == BASE else chosen_rate(settings, ledger, name)
    return {
        cell.seed: result
        for cell, result in ledger.results.items()
        if (cell.stage, cell.objective, cell.learning_rate) == (TEST, name, rate)
        and cell.seed < settings.seeds
    }


def _values(results: dict[int, Result], seeds: list[int], metric: str) -> np.ndarray:
    return np.array([results[seed].metrics.get(metric, np.nan) for seed in seeds])


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _mean(value: dict[str, Any] | None) -> str:
    if value is None:
        return ""
    error = value["standard_error"]
    return f"{value['mean']:.3f}" + ("" if error is None else f" ± {error:.3f}")


def _gap(value: dict[str, Any] | None) -> str:
    gap = {} if value is None else value["difference"]
    if gap.get("mean") is None:
        return ""
    interval = "" if gap["low"] is None else f" [{gap['low']:+.3f}, {gap['high']:+.3f}]"
    return f"{gap['mean']:+.3f}{interval}"


def _table(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(x.ljust(n) for x, n in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    rule = "|" + "|".join("-" * (n + 2) for n in widths) + "|"
    return "\n".join((lines[0], rule, *lines[1:]))
