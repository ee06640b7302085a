"""What is found of one path of weights, or of two: every measure, whole and by layer."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from discovery.weights import checkpoints, measures
from discovery.weights.checkpoints import LEAST, Checkpoints
from discovery.weights.geometry import Geometry, geometries
from discovery.weights.measures import Gram, Measured, Partners
from mpo.errors import RequestError


@dataclass(frozen=True)
class Measures:
    """What is measured of a leaf, or of all weights.

    Attributes:
      weights: how many there are.
      moved: sum of the squared lengths of all steps, of each path.
      paths: measures of each path, by name.
      between: measures of both paths together, by name; empty for one path.
      series: the numbers of each step, by name: of each path, or of both.
    """

    weights: int
    moved: tuple[float, ...]
    paths: tuple[dict[str, Measured], ...]
    between: dict[str, Measured]
    series: dict[str, Any]

    @classmethod
    def of(cls, geometry: Geometry) -> "Measures":
        """Measure one path, or two."""
        paths = range(len(geometry.gram))
        positions = [geometry.gram[path, :, path] for path in paths]
        steps = [measures.steps(gram) for gram in positions]
        own = tuple(
            {
                "next_step": measures.next_step(step, onward),
                "next_step_in_order": measures.next_step_in_order(step),
                "first_component": measures.first_component(position, geometry.size),
            }
            for position, step, onward in zip(positions, steps, geometry.onward, strict=True)
        )
        following = [np.diagonal(measures.cosines(one), offset=1).tolist() for one in steps]
        between, series = _between(geometry, *steps) if len(steps) == 2 else ({}, {})
        moved = tuple(float(np.trace(step)) for step in steps)
        return cls(geometry.size, moved, own, between, {"next_step": following, **series})


@dataclass(frozen=True, eq=False)
class Findings:
    """What is found of one path or of two.

    Attributes:
      folders: of the paths.
      numbers: of the checkpoints that all paths have.
      whole: of all shared leaves.
      layers: of each leaf that moves, by name.
      still: leaves that do not move, in some path.
      left_out: leaves that one path alone has, or has in another shape.
      grams: inner products of the positions, of the whole under "" and of each leaf that moves,
        shape [P, T, P, T].
    """

    folders: tuple[Path, ...]
    numbers: tuple[int, ...]
    whole: Measures
    layers: dict[str, Measures]
    still: tuple[str, ...]
    left_out: tuple[str, ...]
    grams: dict[str, Float[np.ndarray, "P T P T"]]

    def as_json(self) -> dict[str, Any]:
        """Return all numbers as plain JSON values, but for those that are not finite."""
        return {
            "folders": [str(folder) for folder in self.folders],
            "checkpoints": list(self.numbers),
            "whole": dataclasses.asdict(self.whole),
            "layers": {name: dataclasses.asdict(one) for name, one in self.layers.items()},
            "still": list(self.still),
            "left_out": list(self.left_out),
        }


def analyse(folders: Sequence[Path], layers: bool = True) -> Findings:
    """Measure one path, or two and what is between them.

    Args:
      folders: one, or two: of a policy first and of its reward model. Two are compared on the
        leaves that both have in one shape, at the checkpoints whose numbers both have.
      layers: whether each leaf is measured, too.

    Raises:
      RequestError: there is no such path, or nothing of it moves.
    """
    if not 1 <= len(folders) <= 2:
        raise RequestError(f"{len(folders)} folders: give one path, or two to compare")
    paths = [checkpoints.read(folder) for folder in folders]
    names, left_out = _shared(paths)
    numbers = _numbers(paths)
    total: Geometry | None = None
    found, still, grams = {}, [], {}
    for name, own, part in geometries(paths, names, numbers):
        total = part if total is None else total + part
        if not own.moves:
            still.append(name)
        elif layers:
            found[name], grams[name] = Measures.of(own), own.gram
    if total is None or not total.moves:
        raise RequestError("nothing moves: all checkpoints of a path have the same weights")
    return Findings(
        folders=tuple(folders),
        numbers=numbers,
        whole=Measures.of(total),
        layers=found,
        still=tuple(still),
        left_out=left_out,
        grams={"": total.gram, **grams},
    )


def _between(
    geometry: Geometry, one: Gram, other: Gram
) -> tuple[dict[str, Measured], dict[str, list[float]]]:
    """Return the measures of two paths, and their series; the first path is the policy's."""
    inner = measures.steps(geometry.gram[0, :, 1])
    mine, theirs = np.diagonal(one), np.diagonal(other)
    together = Partners.of(np.diagonal(inner), mine * theirs, geometry.together)
    after = Partners.of(np.diagonal(inner, offset=-1), mine[1:] * theirs[:-1], geometry.after)
    sums, entries = np.diff(geometry.sums, axis=1), np.diff(geometry.entries, axis=1)
    # Pearson's r is the cosine of vectors less their means, which hardly change its null.
    means = sums / geometry.size
    squares = (mine - sums[0] * means[0]) * (theirs - sums[1] * means[1])
    centred = Partners.of(
        np.diagonal(inner) - sums[0] * means[1],
        np.where(squares > 1e-12 * mine * theirs, squares, 0.0),
        geometry.together,
    )
    by_entries, entry = measures.entry_correlations(entries[0], entries[1])
    found = {
        "angle": together.angle(),
        "angle_farthest": together.farthest(),
        "angle_after": after.angle(),
        "pearson": centred.mean(),
        "procrustes": measures.procrustes(one, other),
        "entry_correlation": entry,
    }
    series = {
        "angle": np.degrees(np.arccos(together.cosines)),
        "pearson": centred.cosines,
        "entry_correlation": by_entries,
    }
    return found, {name: values.tolist() for name, values in series.items()}


def _shared(paths: Sequence[Checkpoints]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the leaves that all paths have, and of those that they do not."""
    every = {name for path in paths for name in path.shapes}
    names = {name for name in every if len({path.shapes.get(name) for path in paths}) == 1}
    if not names:
        raise RequestError(
            f"{paths[0].folder} and {paths[1].folder} have no leaf of one name and shape, such as "
            f"{next(iter(paths[0].shapes))}: there is nothing to compare"
        )
    return tuple(sorted(names)), tuple(sorted(every - names))


def _numbers(paths: Sequence[Checkpoints]) -> tuple[int, ...]:
    numbers = [n for n in paths[0].leaves if all(n in path.leaves for path in paths)]
    if len(numbers) < LEAST:
        raise RequestError(
            f"{paths[0].folder} and {paths[1].folder} have {len(numbers)} checkpoints of the same "
            f"number, and {LEAST} are needed"
        )
    return tuple(numbers)
