"""Returns by objective and seed, in memory or in a file that survives an interruption."""

import csv
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from discovery.host.processes import primary, same_text
from mpo.errors import RequestError

Returns = Mapping[str, Float[np.ndarray, "seeds"]]

COLUMNS = ("objective", "seed", "return")


class Store:
    """Returns that are known already; with a path, a CSV file that is added to as they come.

    A return that was not finite is an empty entry in the file, and NaN here. Of several
    processes the primary one reads and writes the file, and all know what it says.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Read what the file has; its last line may have been cut off."""
        self._path = path
        self._known: dict[tuple[str, int], float] = {}
        if path is None:
            return
        try:
            whole = same_text(_whole_lines(path) if primary() and path.exists() else "")
            header, *rows = list(csv.reader(whole.splitlines())) or [list(COLUMNS)]
            if tuple(header) != COLUMNS:
                raise ValueError("its columns are others")
            for name, seed, value in rows:
                self._known[name, int(seed)] = float(value) if value else math.nan
        except (OSError, ValueError, csv.Error) as error:
            raise RequestError(
                f"{path} holds no returns ({error}): move it away, or choose another folder"
            ) from error

    def __contains__(self, cell: tuple[str, int]) -> bool:
        return cell in self._known

    def __getitem__(self, cell: tuple[str, int]) -> float:
        return self._known[cell]

    def returns(self, names: Iterable[str], seeds: Sequence[int]) -> Returns:
        """Return those of some objectives, over seeds that are known of all of them."""
        return {name: np.array([self[name, seed] for seed in seeds], np.float64) for name in names}

    def seeds(self, name: str) -> list[int]:
        """Return the seeds of an objective that are known."""
        return sorted(seed for known, seed in self._known if known == name)

    def add(self, name: str, seeds: Sequence[int], returns: Float[np.ndarray, "seeds"]) -> None:
        """Keep the returns of some seeds."""
        new = dict(zip(seeds, map(float, returns), strict=True))
        self._known |= {(name, seed): value for seed, value in new.items()}
        if self._path is None or not primary():
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        _drop_half_a_line(self._path)
        fresh = not self._path.exists() or self._path.stat().st_size == 0
        with self._path.open("a", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if fresh:
                writer.writerow(COLUMNS)
            for seed, value in new.items():
                writer.writerow((name, seed, repr(value) if math.isfinite(value) else ""))
            file.flush()


def _whole_lines(path: Path) -> str:
    content = path.read_bytes()
    return content[: content.rfind(b"\n") + 1].decode()


def _drop_half_a_line(path: Path) -> None:
    """Cut what an interrupted write left at the end of the file."""
    if not path.exists():
        return
    content = path.read_bytes()
    if (whole := content.rfind(b"\n") + 1) < len(content):
        os.truncate(path, whole)
