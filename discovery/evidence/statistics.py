"""Numbers over seeds: means with errors; paired differences with an interval and a test."""

from dataclasses import dataclass

import numpy as np
import scipy.stats
from jaxtyping import Float

_RESAMPLES = 10_000


@dataclass(frozen=True)
class Mean:
    """A mean over the seeds that are finite.

    Attributes:
      mean: of the finite values, in their own unit.
      standard_error: of the mean, in the same unit.
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
      low, high: 95 % bootstrap interval of the mean (bias-corrected and accelerated).
      p: p-value of a two-sided paired t test.
    """

    mean: float
    low: float
    high: float
    p: float

    def __str__(self) -> str:
        return f"{self.mean:+.4g} [{number(self.low)}, {number(self.high)}], p = {self.p:.2g}"


def mean(returns: Float[np.ndarray, "seeds"]) -> Mean:
    """Return the mean over seeds, and its standard error."""
    finite = returns[np.isfinite(returns)]
    count = int(finite.size)
    error = float(np.std(finite, ddof=1) / np.sqrt(count)) if count > 1 else float("nan")
    average = float(np.mean(finite)) if count else float("nan")
    return Mean(average, error, count, int(returns.size) - count)


def difference(
    returns: Float[np.ndarray, "seeds"], against: Float[np.ndarray, "seeds"]
) -> Difference:
    """Return how much more `returns` are than `against`, over the seeds finite in both."""
    gaps = returns - against
    gaps = gaps[np.isfinite(gaps)]
    if gaps.size < 2:
        average = float(gaps.mean()) if gaps.size else float("nan")
        return Difference(average, float("nan"), float("nan"), float("nan"))
    if np.ptp(gaps) == 0:
        same = float(gaps[0])
        return Difference(same, same, same, float(same == 0))
    interval = scipy.stats.bootstrap(
        (gaps,), np.mean, n_resamples=_RESAMPLES, method="BCa", rng=np.random.default_rng(0)
    ).confidence_interval
    test = scipy.stats.ttest_1samp(gaps, 0.0)
    return Difference(
        float(gaps.mean()), float(interval.low), float(interval.high), float(test.pvalue)
    )


def number(value: float) -> str:
    """Write a return: whole from a hundred on, else with three digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def signed(value: float) -> str:
    """Write a difference of returns, with its sign."""
    return f"{'-' if value < 0 else '+'}{number(abs(value))}"
