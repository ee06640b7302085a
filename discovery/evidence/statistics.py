"""Numbers over seeds: means with errors; paired differences with an interval and a test.

`estimate` is for numbers that are nested: agents on datasets, under losses of several searches. It
says which of these its interval is over: the outermost of which there is more than one, since
agents of one dataset share its luck, and datasets of one loss that of its search.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # its statistics take a second, and come with their first use
from jaxtyping import Float

_RESAMPLES, _NESTED_RESAMPLES = 10_000, 2_000
_FEW = 16
"""Below so many values an interval is Student's: a bootstrap of few is too narrow."""
LEVELS = ("searches", "datasets", "agents")
"""What numbers are nested in, from the outside."""


@dataclass(frozen=True)
class Mean:
    """A mean over the seeds that are finite.

    Attributes:
      mean: of the finite values, in their own unit.
      standard_error: of the mean, in the same unit; over draws of the data, if there are several.
      seeds: how many values are finite.
      failed: how many values are not finite, and so not in the mean.
    """

    mean: float
    standard_error: float
    seeds: int
    failed: int

    def __str__(self) -> str:
        if self.seeds == 0:
            return f"all {self.failed} failed"
        error = f" ± {number(self.standard_error)}" if self.seeds > 1 else ""
        text = f"{number(self.mean)}{error}"
        return (
            f"{text} ({self.failed} of {self.seeds + self.failed} failed)" if self.failed else text
        )


@dataclass(frozen=True)
class Difference:
    """A mean of paired differences, seed by seed.

    Attributes:
      mean: of the differences, in the unit of the values.
      low, high: 95 % interval of the mean: a bootstrap (bias-corrected and accelerated), or
        Student's where there are fewer than 16. Of several draws of the data it is over these.
      p: p-value of a two-sided paired t test.
    """

    mean: float
    low: float
    high: float
    p: float

    def __str__(self) -> str:
        return f"{self.mean:+.4g} [{number(self.low)}, {number(self.high)}], p = {self.p:.2g}"


def mean(returns: Float[np.ndarray, "*draws seeds"]) -> Mean:
    """Return the mean over seeds, and its standard error.

    Of several draws of the data it is the mean of theirs, and the error is over draws.
    """
    values = _unit_means(returns)
    values = values[np.isfinite(values)]
    count = int(values.size)
    error = float(np.std(values, ddof=1) / np.sqrt(count)) if count > 1 else float("nan")
    average = float(np.mean(values)) if count else float("nan")
    finite = int(np.sum(np.isfinite(returns)))
    return Mean(average, error, finite, int(returns.size) - finite)


def difference(
    returns: Float[np.ndarray, "*draws seeds"], against: Float[np.ndarray, "*draws seeds"]
) -> Difference:
    """Return how much more `returns` are than `against`, over the seeds finite in both.

    Of several draws of the data, interval and test are over draws, as `estimate` has them.
    """
    gaps = returns - against
    if gaps.ndim > 1:
        found = estimate(gaps)
        return Difference(found.mean, found.low, found.high, found.p)
    gaps = gaps[np.isfinite(gaps)]
    if gaps.size < 2:
        average = float(gaps.mean()) if gaps.size else float("nan")
        return Difference(average, float("nan"), float("nan"), float("nan"))
    if np.ptp(gaps) == 0:
        same = float(gaps[0])
        return Difference(same, same, same, float(same == 0))
    test = scipy.stats.ttest_1samp(gaps, 0.0)
    if gaps.size < _FEW:
        interval = test.confidence_interval(0.95)
    else:
        interval = scipy.stats.bootstrap(
            (gaps,), np.mean, n_resamples=_RESAMPLES, method="BCa", rng=np.random.default_rng(0)
        ).confidence_interval
    return Difference(
        float(gaps.mean()), float(interval.low), float(interval.high), float(test.pvalue)
    )


@dataclass(frozen=True)
class Estimate:
    """A mean of nested numbers, and how sure it is.

    Attributes:
      mean: of the units' means, in the unit of the values.
      low, high: 95 % interval of the mean.
      p: p-value of a two-sided t test of no mean at all, over units.
      unit: what was resampled, or had its spread measured: the outermost of `LEVELS` of which
        there is more than one.
      units: how many of it.
      values: how many numbers there are in all.
      failed: how many of them are not finite, and so in no mean.
    """

    mean: float
    low: float
    high: float
    p: float
    unit: str
    units: int
    values: int
    failed: int = 0

    def __str__(self) -> str:
        if not np.isfinite(self.mean):
            return f"all {self.failed} failed"
        failed = f" ({self.failed} of {self.values} failed)" if self.failed else ""
        return f"{number(self.mean)} [{number(self.low)}, {number(self.high)}]{failed}"

    def said(self) -> str:
        """Return what the interval is over, in words."""
        return f"95 % over {self.units} {self.unit} ({self.values} values)"


def estimate(values: Float[np.ndarray, "*levels"], levels: Sequence[str] = LEVELS) -> Estimate:
    """Return the mean of nested numbers with an interval over their outermost units.

    From 16 units on it is a hierarchical bootstrap: units are drawn with replacement, and in
    each of them, in turn, what is nested in it. With fewer it is Student's, of the units' means.
    Differences that are paired at every level are numbers of this kind, too.

    Args:
      values: with an axis for each level; those that are not finite are left out.
      levels: names of the axes, from the outside; the last ones of `LEVELS`, if there are fewer.
    """
    array = np.asarray(values, np.float64)
    names = [*levels][-array.ndim :]
    failed = int(np.sum(~np.isfinite(array)))
    while array.ndim > 1 and array.shape[0] == 1:
        array, names = array[0], names[1:]
    array = np.where(np.isfinite(array), array, np.nan)
    means = _unit_means(array)
    means = means[np.isfinite(means)]
    units, all_ = int(means.size), int(array.size)
    if units < 2 or np.ptp(means) == 0:
        mean = float(means.mean()) if units else float("nan")
        flat = (mean, mean, float(mean == 0)) if units > 1 else (float("nan"),) * 3
        return Estimate(mean, *flat, names[0], units, all_, failed)
    test = scipy.stats.ttest_1samp(means, 0.0)
    if units < _FEW:
        interval = test.confidence_interval(0.95)
        low, high = float(interval.low), float(interval.high)
    else:
        low, high = np.quantile(_resampled(array), (0.025, 0.975)).tolist()
    return Estimate(
        float(means.mean()), low, high, float(test.pvalue), names[0], units, all_, failed
    )


def holm(p: Sequence[float]) -> list[float]:
    """Return p-values of a family adjusted by Holm's method; NaN stays, and counts for none."""
    values = np.asarray(p, np.float64)
    known = np.flatnonzero(np.isfinite(values))
    order = known[np.argsort(values[known])]
    steps = values[order] * np.arange(order.size, 0, -1)
    adjusted = np.full(values.shape, np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(value) for value in adjusted]


def _unit_means(array: Float[np.ndarray, "units *inner"]) -> Float[np.ndarray, "units"]:
    """Return the mean of each unit: of what is nested in it, of the means of what is in that."""
    while array.ndim > 1:
        count = np.sum(np.isfinite(array), axis=-1)
        array = np.where(count > 0, np.nansum(array, axis=-1) / np.maximum(count, 1), np.nan)
    return array


def _resampled(array: Float[np.ndarray, "units *inner"]) -> Float[np.ndarray, "resamples"]:
    """Return the means of resamples: units, and in each of them what is nested in it, anew."""
    rng = np.random.default_rng(0)
    drawn = array[rng.integers(array.shape[0], size=(_NESTED_RESAMPLES, array.shape[0]))]
    for axis in range(2, drawn.ndim):
        shape = (*drawn.shape[: axis + 1], *[1] * (drawn.ndim - axis - 1))
        drawn = np.take_along_axis(drawn, rng.integers(drawn.shape[axis], size=shape), axis=axis)
    return np.nanmean(_unit_means(drawn.reshape(-1, *drawn.shape[2:])).reshape(drawn.shape[:2]), 1)


def number(value: float) -> str:
    """Write a return: whole from a hundred on, else with three digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def signed(value: float) -> str:
    """Write a difference of returns, with its sign."""
    return f"{'-' if value < 0 else '+'}{number(abs(value))}"
