"""What is kept of paths of weights: inner products of their positions, and a few entries.

Angles, principal components and nearly every other measure follow from inner products, T × T
numbers for T checkpoints. So does the null of an inner product: were the sign of each of its terms
that of a coin, it would have a mean of 0 and the sum of their squares as variance. All are added up
leaf by leaf, and a leaf piece by piece.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from jaxtyping import Float, Int

from discovery.weights.checkpoints import Checkpoints, Leaf
from mpo.errors import RequestError

ENTRIES: Final = 100
"""How many entries of a leaf, or of all weights, are kept as they are: distance correlations of
entries are made of them."""
_PIECE: Final = 2**19
"""Numbers that are in memory at a time, as float64."""


@dataclass(frozen=True, eq=False)
class Geometry:
    """What is kept of P paths of T checkpoints in d dimensions; each path begins at 0.

    Attributes:
      size: d.
      gram: inner products of the positions, shape [P, T, P, T].
      sums: of the entries of each position, shape [P, T].
      onward: Σ (a b)² of the entries of each step and the next, shape [P, T-2].
      together: of two paths, inner products of w_t = Δ_t ∘ Δ'_t, the products of the entries of
        their steps at one moment, shape [T-1, T-1]; 0 for one path.
      after: of w_t = Δ_{t+1} ∘ Δ'_t, the second path's steps being the earlier ones, likewise.
      entries: some of the entries of each position, shape [P, T, n].
    """

    size: int
    gram: Float[np.ndarray, "P T P T"]
    sums: Float[np.ndarray, "P T"]
    onward: Float[np.ndarray, "P T-2"]
    together: Float[np.ndarray, "T-1 T-1"]
    after: Float[np.ndarray, "T-2 T-2"]
    entries: Float[np.ndarray, "P T n"]

    def __add__(self, other: "Geometry") -> "Geometry":
        """Return the geometry in the dimensions of both."""
        return Geometry(
            self.size + other.size,
            self.gram + other.gram,
            self.sums + other.sums,
            self.onward + other.onward,
            self.together + other.together,
            self.after + other.after,
            np.concatenate([self.entries, other.entries], axis=2),
        )

    @property
    def moves(self) -> bool:
        """Whether every path leaves its start."""
        return bool(np.all(np.max(np.einsum("ptpt->pt", self.gram), axis=1) > 0))


def geometries(
    paths: Sequence[Checkpoints], names: Sequence[str], numbers: Sequence[int]
) -> Iterator[tuple[str, Geometry, Geometry]]:
    """Yield the name of each leaf, its geometry, and its part of the geometry of all.

    The two differ in the entries: a leaf has `ENTRIES` of its own, and all leaves together have as
    many in common.

    Args:
      paths: one, or several that have these leaves.
      names: of the leaves.
      numbers: of the checkpoints, which all of them have.

    Raises:
      RequestError: a weight is not finite, or a file is damaged.
    """
    sizes = {name: next(iter(paths[0].leaves.values()))[name].size for name in sorted(names)}
    common, before = _places(sum(sizes.values())), 0
    for name, size in sizes.items():
        leaves = [path.leaves[number][name] for path in paths for number in numbers]
        own = _places(size)
        shared = common[(common >= before) & (common < before + size)] - before
        every = np.union1d(own, shared)
        found = _geometry(name, leaves, len(paths), every)
        yield (
            name,
            replace(found, entries=found.entries[:, :, np.isin(every, own)]),
            replace(found, entries=found.entries[:, :, np.isin(every, shared)]),
        )
        before += size


def _geometry(
    name: str, leaves: Sequence[Leaf], paths: int, places: Int[np.ndarray, "n"]
) -> Geometry:
    """Read a leaf of all checkpoints, one path after another, a piece of each at a time."""
    moments, size = len(leaves) // paths, leaves[0].size
    whole: Geometry | None = None
    length = max(_PIECE // len(leaves), 1)
    with ExitStack() as stack:
        streams = [stack.enter_context(leaf.open()) for leaf in leaves]
        for start in range(0, size, length):
            piece = np.empty((len(leaves), min(length, size - start)))
            for row, leaf, stream in zip(piece, leaves, streams, strict=True):
                row[:] = leaf.read(stream, len(row))
                if not np.isfinite(row).all():
                    raise RequestError(
                        f"{leaf.file}: {name} has weights that are not finite; leave it out"
                    )
            here = places[(places >= start) & (places < start + piece.shape[1])] - start
            found = _of_piece(piece.reshape(paths, moments, -1), here)
            whole = found if whole is None else whole + found
    assert whole is not None
    return whole


def _of_piece(piece: Float[np.ndarray, "P T d"], places: Int[np.ndarray, "n"]) -> Geometry:
    piece -= piece[:, :1].copy()
    flat = piece.reshape(-1, piece.shape[2])
    steps = np.diff(piece, axis=1)
    mine, theirs = steps if len(steps) == 2 else (steps[0, :, :0],) * 2
    together, after = mine * theirs, mine[1:] * theirs[:-1]
    return Geometry(
        size=piece.shape[2],
        gram=(flat @ flat.T).reshape(piece.shape[:2] * 2),
        sums=piece.sum(axis=2),
        onward=np.square(steps[:, 1:] * steps[:, :-1]).sum(axis=2),
        together=together @ together.T,
        after=after @ after.T,
        entries=piece[:, :, places],
    )


def _places(size: int) -> Int[np.ndarray, "n"]:
    """Draw places of entries, the same ones for the same size."""
    drawn = np.random.default_rng(size).choice(size, min(size, ENTRIES), replace=False)
    return np.sort(drawn)
