"""A table over seeds: means, and paired differences to the first objective."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

import numpy as np

from discovery.config.sections import MEAN, SAMPLED
from discovery.evidence import markdown, statistics
from discovery.evidence.returns import BY_MEAN, LOG_STD, MEASURES, RETURN, Returns, Store
from discovery.evidence.statistics import Difference, Mean, number, signed
from mpo.log import numbers, strict

HOLM = "p (Holm)"
"""Title of the column of p-values: adjusted over all comparisons of the table."""

_, DATASETS, AGENTS = statistics.LEVELS

T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """An objective of the table.

    Attributes:
      name: of the objective.
      mean: of the returns over the seeds of the objective.
      gap: how much more it earns than the first; `None` for the first.
      note: what is to be known of it, such as "tuned".
      by_mean: of the returns by the mean action; `None`, if they were not measured.
      by_mean_gap: how much more it earns than the first, by the mean action.
      log_std: how the agents' actions spread; `None`, if they do not or it was not measured.
      beside: what the task measures beside returns, by name.
    """

    name: str
    mean: Mean
    gap: Difference | None
    note: str = ""
    by_mean: Mean | None = None
    by_mean_gap: Difference | None = None
    log_std: Mean | None = None
    beside: Mapping[str, Mean] = field(default_factory=dict)

    def whole(self, first: "Row") -> bool:
        """Return whether no agent failed: if one did, the pairs left are no fair sample."""
        return self.gap is not None and not self.mean.failed and not first.mean.failed


@dataclass(frozen=True)
class Table:
    """Objectives over the same seeds, and levels to read them against.

    Attributes:
      rows: the objectives; differences are to the first.
      levels: returns by name, such as those of the agents that made the data.
      action: what agents do in `mean` and `gap` of the rows: "sampled" from their policy, or
        its "mean", where nothing else was measured.
      draws: of the data, on each of which all seeds were trained. If there are several, errors,
        intervals and tests are over them, and not over agents.
      by_mean_levels: what those of `levels` earn by their mean action, for whom it was measured.
    """

    rows: tuple[Row, ...]
    levels: Mapping[str, float]
    action: str = SAMPLED
    draws: int = 1
    by_mean_levels: Mapping[str, float] = field(default_factory=dict)

    @property
    def resampled(self) -> str:
        """What errors, intervals and tests are over: one of `statistics.LEVELS`."""
        return DATASETS if self.draws > 1 else AGENTS

    @classmethod
    def of(
        cls,
        returns: Returns,
        levels: Mapping[str, float] | None = None,
        notes: Mapping[str, str] | None = None,
        by_mean: Returns | None = None,
        log_std: Returns | None = None,
        action: str = SAMPLED,
        beside: Mapping[str, Returns] | None = None,
        by_mean_levels: Mapping[str, float] | None = None,
    ) -> "Table":
        """Return the table of these returns; of what else was measured of the agents, if it was."""
        first, *_ = returns

        def gap(name: str, measured: Returns | None) -> Difference | None:
            if measured is None or name == first:
                return None
            return statistics.difference(measured[name], measured[first])

        def mean(name: str, measured: Returns | None) -> Mean | None:
            return None if measured is None else statistics.mean(measured[name])

        rows = tuple(
            Row(
                name,
                statistics.mean(own),
                gap(name, returns),
                (notes or {}).get(name, ""),
                mean(name, by_mean),
                gap(name, by_mean),
                mean(name, log_std),
                {m: statistics.mean(found[name]) for m, found in (beside or {}).items()},
            )
            for name, own in returns.items()
        )
        draws = len(returns[first]) if returns[first].ndim > 1 else 1
        return cls(rows, dict(levels or {}), action, draws, dict(by_mean_levels or {}))

    @classmethod
    def stored(
        cls,
        store: Store | Sequence[Store],
        names: Sequence[str],
        seeds: Sequence[int],
        levels: Mapping[str, float] | None = None,
        notes: Mapping[str, str] | None = None,
        by_mean_levels: Mapping[str, float] | None = None,
    ) -> "Table":
        """Return the table of what is known of all these agents; of those of several draws of the
        data, where there is a store for each.
        """
        stores = [store] if isinstance(store, Store) else [*store]
        every = [(one, name, seed) for one in stores for name in names for seed in seeds]
        known = [m for m in stores[0].known() if all(one.has(n, s, [m]) for one, n, s in every)]
        found = {measure: _together(stores, names, seeds, measure) for measure in known}
        spread = found.get(LOG_STD)
        beside = {measure: own for measure, own in found.items() if measure not in MEASURES}
        if RETURN not in found:
            own = found[BY_MEAN]
            return cls.of(
                own, levels, notes, log_std=spread, action=MEAN, by_mean_levels=by_mean_levels
            )
        by_mean = found.get(BY_MEAN)
        return cls.of(
            found[RETURN], levels, notes, by_mean, spread, SAMPLED, beside, by_mean_levels
        )

    def columns(self) -> tuple[str, ...]:
        """Return the titles of the columns."""
        first, *_ = self.rows
        own = "mean return" if self.action == SAMPLED else "mean return, by mean action"
        over = f"95 % over {self.draws} {DATASETS}" if self.draws > 1 else "95 %"
        titles = ["objective", "settings", own, f"more than {first.name}", over, HOLM]
        if first.by_mean is not None:
            titles += ["by mean action", f"more than {first.name}", over, HOLM]
        if first.log_std is not None:
            titles.append("log-std")
        return (*titles, *(name.replace("_", " ") for name in first.beside))

    def cells(self) -> Iterator[tuple[str, ...]]:
        """Return the texts of each row, the levels last."""
        first, *_ = self.rows
        gaps = [gap for row in self.rows for gap in (row.gap, row.by_mean_gap)]
        adjusted = iter(statistics.holm([np.nan if gap is None else gap.p for gap in gaps]))
        for row in self.rows:
            p, by_mean_p = next(adjusted), next(adjusted)
            texts = [row.name, row.note, str(row.mean), *_gap(row.gap, p, row.mean, first.mean)]
            if row.by_mean is not None and first.by_mean is not None:
                gap = _gap(row.by_mean_gap, by_mean_p, row.by_mean, first.by_mean)
                texts += [str(row.by_mean), *gap]
            if row.log_std is not None:
                texts.append(f"{row.log_std.mean:.2f}")
            texts += [str(row.beside[name]) for name in first.beside]
            yield tuple(texts)
        blank = [""] * (len(self.columns()) - 3)
        for name, value in self.levels.items():
            yield (name, "", number(value), *self._by_mean(name, blank))
        for name, value in self.by_mean_levels.items():
            if first.by_mean is None:
                yield (f"{name}, by mean action", "", number(value), *blank)

    def _by_mean(self, name: str, blank: list[str]) -> list[str]:
        """Return the cells of a level after its own: what it earns by the mean action, if known."""
        if self.rows[0].by_mean is None or name not in self.by_mean_levels:
            return blank
        column = self.columns().index("by mean action") - 3
        return [*blank[:column], number(self.by_mean_levels[name]), *blank[column + 1 :]]

    def markdown(self) -> str:
        """Return the table as Markdown."""
        rows = (map(markdown.escaped, line) for line in self.cells())
        return markdown.table([*map(markdown.escaped, self.columns())], [[*row] for row in rows])

    def as_json(self) -> dict[str, Any]:
        """Return the table as plain JSON values; a number that is not finite is null."""
        rows = [
            {
                name: value
                for name, value in asdict(row).items()
                if name == "gap" or value not in (None, {})
            }
            for row in self.rows
        ]
        action = {} if self.action == SAMPLED else {"action": self.action}
        draws = {} if self.draws == 1 else {"draws": self.draws}
        by_mean = {"by_mean_levels": dict(self.by_mean_levels)} if self.by_mean_levels else {}
        levels = strict({"levels": dict(self.levels), **by_mean})
        return {"rows": strict(rows), **levels, **action, **draws}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Table":
        """Return the table that `as_json` gave these values of."""
        rows = tuple(
            Row(
                name=held["name"],
                mean=Mean(**numbers(held["mean"])),
                gap=_read(Difference, held["gap"]),
                note=held["note"],
                by_mean=_read(Mean, held.get("by_mean")),
                by_mean_gap=_read(Difference, held.get("by_mean_gap")),
                log_std=_read(Mean, held.get("log_std")),
                beside={n: Mean(**numbers(own)) for n, own in held.get("beside", {}).items()},
            )
            for held in values["rows"]
        )
        action, draws = values.get("action", SAMPLED), int(values.get("draws", 1))
        by_mean = {n: float(own) for n, own in values.get("by_mean_levels", {}).items()}
        return cls(rows, dict(values["levels"]), action, draws, by_mean)


def _together(
    stores: Sequence[Store], names: Sequence[str], seeds: Sequence[int], measure: str
) -> Returns:
    """Return a measure of agents by name; where there are several stores, of those of each."""
    found = [one.returns(names, seeds, measure) for one in stores]
    if len(found) == 1:
        return found[0]
    return {name: np.stack([one[name] for one in found]) for name in names}


def _gap(gap: Difference | None, p: float, mean: Mean, first: Mean) -> tuple[str, str, str]:
    """Return a difference in words: if an agent failed, the pairs left are no fair sample."""
    if gap is not None and not mean.failed and not first.failed:
        return signed(gap.mean), f"{number(gap.low)} to {number(gap.high)}", f"{p:.1e}"
    if gap is not None and math.isfinite(gap.mean):
        return f"{signed(gap.mean)} where both did not fail", "", ""
    return "", "", ""


def _read(kind: type[T], held: Mapping[str, Any] | None) -> T | None:
    return None if held is None else kind(**numbers(held))
