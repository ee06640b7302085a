"""Measures of paths, each beside its null: what chance gives, how widely, and how far off it is.

All but the distance correlation of entries are exact in the space of the weights, from inner
products alone. Three nulls are in use:

- signs: every entry of a path's steps is as large as it is, and its sign, the same at every moment,
  is that of a coin; by formula, or drawn from the normal law that many entries give.
- orders: the same steps, or entries, those of one path in random order; drawn.
- walks: random walks of as many steps in as many dimensions; drawn.

Random directions would be a narrower null than signs: steps that are large in the same few entries
are seldom at right angles, whatever their signs.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import scipy.linalg
import scipy.stats
from jaxtyping import Float, Int

DRAWS: Final = 999
"""Of a null that costs little."""
ORDERS: Final = 199
WALKS: Final = 100
_FEW_DIMENSIONS: Final = 512
"""Up to so many dimensions a random walk is drawn as it is; beyond, its inner products are."""

Gram = Float[np.ndarray, "n n"]
Series = Float[np.ndarray, "n"]


@dataclass(frozen=True)
class Measured:
    """A number beside what chance gives.

    Attributes:
      value: of the paths, in the unit of the measure.
      null: what chance gives on average, in the same unit.
      spread: standard deviation of that.
      z: (value − null) / spread.
      p: how often chance is as far off, to either side.
      by: where the null is from.
    """

    value: float
    null: float
    spread: float
    z: float
    p: float
    by: str


def against(value: float, null: float, spread: float, by: str) -> Measured:
    """Compare a number with a normal null."""
    z = (value - null) / spread if spread > 0 else float("nan")
    return Measured(value, null, spread, z, float(2 * scipy.stats.norm.sf(abs(z))), by)


def among(value: float, draws: Float[np.ndarray, "draws"], by: str) -> Measured:
    """Compare a number with draws of its null."""
    null, spread = float(np.mean(draws)), float(np.std(draws, ddof=1))
    z = (value - null) / spread if spread > 0 else float("nan")
    as_far = np.abs(draws - null) >= abs(value - null) * (1 - 1e-12)
    p = float((1 + as_far.sum()) / (1 + draws.size)) if np.isfinite(value) else float("nan")
    return Measured(value, null, spread, z, p, f"{draws.size} {by}")


# --- One path -------------------------------------------------------------------------------------


def steps(gram: Float[np.ndarray, "... T U"]) -> Float[np.ndarray, "... T-1 U-1"]:
    """Return inner products of the differences of successive positions, given those of these."""
    return np.diff(np.diff(gram, axis=-1), axis=-2)


def cosines(gram: Gram) -> Gram:
    """Return the cosines between vectors, given inner products; NaN where one of them is 0."""
    lengths = np.sqrt(np.maximum(np.diagonal(gram), 0.0))
    lengths = np.where(lengths > 0, lengths, np.nan)
    return np.clip(gram / lengths[:, None] / lengths[None], -1.0, 1.0)


def next_step(gram: Gram, onward: Float[np.ndarray, "n-1"]) -> Measured:
    """Return the mean cosine of each step with the next, against random signs.

    Args:
      gram: of the steps.
      onward: Σ (a b)² of the entries of each and the next.
    """
    found, squares = np.diagonal(cosines(gram), offset=1), np.diagonal(gram)
    moving = np.isfinite(found)
    variances = onward[moving] / (squares[1:] * squares[:-1])[moving]
    spread = float(np.sqrt(variances.sum()) / max(moving.sum(), 1))
    return against(float(_mean(found[moving])), 0.0, spread, "signs")


def next_step_in_order(gram: Gram) -> Measured:
    """Return the same against the same steps in random order.

    It says whether the next step is more like the last one than any other step is.
    """
    found = cosines(gram)
    moving = np.isfinite(np.diagonal(found))
    found = found[moving][:, moving]
    draws = [float(_mean(found[order[:-1], order[1:]])) for order in _orders(len(found))]
    return among(float(_mean(np.diagonal(found, offset=1))), np.array(draws), "orders")


def shares(gram: Gram) -> Series:
    """Return the share of the variance of positions that each principal component has."""
    values = np.maximum(scipy.linalg.eigvalsh(_centred(gram))[::-1], 0.0)
    return values / values.sum()


def first_component(gram: Gram, size: int) -> Measured:
    """Return the share of the first principal component, against random walks.

    A long random walk in many dimensions has 6/(π²k²) of its variance in its k-th component, 61 %
    in the first, so that it is drawn as a smooth curve; few dimensions or steps, and more.

    Args:
      gram: of the positions.
      size: dimensions.
    """
    return among(float(shares(gram)[0]), walks(len(gram), size)[:, 0], "walks")


@lru_cache(maxsize=256)
def walks(moments: int, size: int) -> Float[np.ndarray, "walks T"]:
    """Return the shares of the principal components of random walks, with normal steps."""
    rng = np.random.default_rng(0)
    return np.array([shares(walk(rng, moments, size)) for _ in range(WALKS)])


def walk(rng: np.random.Generator, moments: int, size: int) -> Gram:
    """Return the inner products of the positions of a random walk from 0, shape [T, T]."""
    count = moments - 1
    if size > max(_FEW_DIMENSIONS, count):  # inner products of normal vectors are Wishart
        scale = np.eye(count) / size
        inner = np.reshape(scipy.stats.wishart.rvs(size, scale, random_state=rng), (count, count))
    else:
        drawn = rng.normal(size=(count, size))
        inner = drawn @ drawn.T
    gram = np.zeros((moments, moments))
    gram[1:, 1:] = np.cumsum(np.cumsum(inner, axis=0), axis=1)
    return gram


# --- Two paths: partners --------------------------------------------------------------------------


@dataclass(frozen=True)
class Partners:
    """Cosines of the vectors of two paths, one by one, and what random signs make of them.

    Attributes:
      cosines: of each vector with its partner, without those of length 0.
      chance: the same under random signs, shape [draws, n].
    """

    cosines: Series
    chance: Float[np.ndarray, "draws n"]

    @classmethod
    def of(cls, inner: Series, squares: Series, covariances: Gram) -> "Partners":
        """Make them of inner products.

        Args:
          inner: products of the partners.
          squares: of the length of either vector, multiplied.
          covariances: of their inner products under random signs: the inner products of
            u_t ∘ v_t, entry by entry, for partners u_t and v_t.
        """
        kept = squares > 0
        lengths = np.sqrt(squares[kept])
        values, vectors = np.linalg.eigh(covariances[kept][:, kept] / np.outer(lengths, lengths))
        normal = np.random.default_rng(0).normal(size=(DRAWS, len(values)))
        drawn = normal * np.sqrt(np.maximum(values, 0.0)) @ vectors.T
        return cls(np.clip(inner[kept] / lengths, -1, 1), np.clip(drawn, -1, 1))

    def mean(self) -> Measured:
        """Return the mean cosine."""
        return among(float(_mean(self.cosines)), _mean(self.chance), "signs")

    def angle(self) -> Measured:
        """Return the mean angle, in degrees."""
        found, drawn = (np.degrees(_mean(np.arccos(each))) for each in (self.cosines, self.chance))
        return among(float(found), drawn, "signs")

    def farthest(self) -> Measured:
        """Return the largest distance of an angle from 90°, in degrees."""
        found, drawn = (
            np.degrees(np.max(np.abs(np.arccos(each) - np.pi / 2), axis=-1, initial=0.0))
            for each in (self.cosines, self.chance)
        )
        return among(float(found), drawn, "signs")


# --- Two paths: shapes ----------------------------------------------------------------------------


def disparity(one: Gram, other: Gram) -> float:
    """Return Procrustes' disparity of two clouds of n points, between 0 and 1.

    What remains of one, of norm 1, when the other was shifted, scaled and turned (or mirrored)
    to lie on it best: 1 − ‖XᵀY‖²/(‖X‖²‖Y‖²), the first norm nuclear, the others Frobenius's.

    Args:
      one, other: inner products of the points, as partners by their places.
    """
    return _disparity(_unit(factored(one)), _unit(factored(other)))


def procrustes(one: Gram, other: Gram) -> Measured:
    """Return the disparity of the steps of two paths, against one of them in random order."""
    first, second = _unit(factored(one)), _unit(factored(other))
    draws = [_disparity(first, second[order]) for order in _orders(len(second))]
    return among(_disparity(first, second), np.array(draws), "orders")


def distance_correlation(one: Gram, other: Gram) -> float:
    """Return the distance correlation of two samples of n points, from 0 to 1 (Székely, 2007).

    Args:
      one, other: distances between the points of each.
    """
    return float(_correlation(_standard(one), _standard(other)))


def entry_correlations(
    one: Float[np.ndarray, "T n"], other: Float[np.ndarray, "T n"]
) -> tuple[Float[np.ndarray, "T"], Measured]:
    """Return the distance correlation of the entries of each step, and its mean.

    Entries are the sample. The null has those of one path in an order of their own, the same at
    every moment, so that steps that resemble each other still do.

    Args:
      one, other: entries of the steps of either path.
    """
    first, second = (_standard(np.abs(rows[:, :, None] - rows[:, None])) for rows in (one, other))
    each = _correlation(first, second)
    draws = [
        float(_mean(_correlation(first, second[:, order][:, :, order])))
        for order in _orders(one.shape[1])
    ]
    return each, among(float(_mean(each)), np.array(draws), "orders")


def factored(gram: Gram) -> Float[np.ndarray, "n r"]:
    """Return coordinates of points about their mean, along principal axes, the longest first.

    Exact: r is the rank, and distances between rows are those between the points.
    """
    values, vectors = scipy.linalg.eigh(_centred(gram))
    values, vectors = values[::-1], vectors[:, ::-1]
    kept = values > len(gram) * np.finfo(float).eps * max(values[0], 0.0)
    return vectors[:, kept] * np.sqrt(values[kept])


def _centred(gram: Gram) -> Gram:
    """Return inner products of the same points about their mean."""
    gram = gram - gram.mean(axis=0)
    return gram - gram.mean(axis=1)[:, None]


def _unit(points: Float[np.ndarray, "n r"]) -> Float[np.ndarray, "n r"]:
    return points / max(float(np.linalg.norm(points)), np.finfo(float).tiny)


def _disparity(one: Float[np.ndarray, "n r"], other: Float[np.ndarray, "n s"]) -> float:
    nuclear = np.linalg.svd(one.T @ other, compute_uv=False).sum()
    return float(max(1 - nuclear**2, 0.0))


def _standard(apart: Float[np.ndarray, "*T n n"]) -> Float[np.ndarray, "*T n n"]:
    """Centre distances in rows and columns; divide by their norm, or leave 0."""
    for axis in (-1, -2):
        apart = apart - apart.mean(axis=axis, keepdims=True)
    norms = np.linalg.norm(apart, axis=(-1, -2), keepdims=True)
    return apart / np.where(norms > 0, norms, 1.0)


def _correlation(
    one: Float[np.ndarray, "*T n n"], other: Float[np.ndarray, "*T n n"]
) -> Float[np.ndarray, "*T"]:
    return np.asarray(np.sqrt(np.maximum(np.einsum("...ij,...ij->...", one, other), 0.0)))


@lru_cache(maxsize=16)
def _orders(count: int) -> list[Int[np.ndarray, "n"]]:
    rng = np.random.default_rng(0)
    return [rng.permutation(count) for _ in range(ORDERS)]


def _mean(values: Float[np.ndarray, "*draws n"]) -> Float[np.ndarray, "*draws"]:
    """Return the mean along the last axis; NaN of nothing."""
    count = values.shape[-1]
    return np.asarray(values.sum(axis=-1) / count if count else np.full(values.shape[:-1], np.nan))
