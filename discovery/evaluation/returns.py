"""Returns by objective and seed, in memory or in a file that survives an interruption."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mpo.errors import RequestError

Returns = Mapping[str, Float[np.ndarray, "seeds"]]

COLUMNS = ("objective", "seed", "return")


class Store:
    """Returns that are known already; with a path, a CSV file that is added to as they come.

    A return that was not finite is an empty entry in the file, and NaN here.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Read what the file has; its last line may have been cut off."""
        self._path = path
        self._known: dict[tuple[str, int], float] = {}
        if path is None or not path.exists():
            return
        text = path.read_text()
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            path.write_text(whole)
        header, *rows = list(csv.reader(whole.splitlines())) or [[]]
        if tuple(header) != COLUMNS:
            raise RequestError(f"{path} holds no returns: move it away, or choose another folder")
        for name, seed, value in rows:
            self._known[name, int(seed)] = float(value) if value else math.nan

    def __contains__(self, cell: tuple[str, int]) -> bool:
        return cell in self._known

    def __getitem__(self, cell: tuple[str, int]) -> float:
        return self._known[cell]

    def add(self, name: str, seeds: Sequence[int], returns: Float[np.ndarray, "seeds"]) -> None:
        """Keep the returns of some seeds."""
        new = dict(zip(seeds, map(float, returns), strict=True))
        self._known |= {(name, seed): value for seed, value in new.items()}
        if self._path is None:
            return
        fresh = not self._path.exists()
        with self._path.open("a", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if fresh:
                writer.writerow(COLUMNS)
            for seed, value in new.items():
                writer.writerow((name, seed, repr(value) if math.isfinite(value) else ""))
            file.flush()
