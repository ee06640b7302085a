"""Returns by objective and seed, in memory or in a file that survives an interruption."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from discovery.host.processes import primary, same_text
from mpo.errors import RequestError
from mpo.log import Log

Returns = Mapping[str, Float[np.ndarray, "seeds"]]

COLUMNS = ("objective", "seed", "return")


class Store:
    """Returns that are known already; with a path, a CSV file that is added to as they come.

    A return that was not finite is an empty entry in the file, and NaN here. Of several
    processes the primary one reads and writes the file, and all know what it says.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Read what the file has; its last line may have been cut off."""
        self._log = None if path is None else Log(path)
        self._known: dict[tuple[str, int], float] = {}
        if self._log is None:
            return
        try:
            whole = same_text("\n".join(self._log.texts()) if primary() else "")
            header, *rows = list(csv.reader(io.StringIO(whole, newline=""))) or [list(COLUMNS)]
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
        """Return the returns of some objectives over seeds that all of them have, by name."""
        return {name: np.array([self[name, seed] for seed in seeds], np.float64) for name in names}

    def seeds(self, name: str) -> list[int]:
        """Return the seeds whose returns are known of an objective, in order."""
        return sorted(seed for known, seed in self._known if known == name)

    def add(self, name: str, seeds: Sequence[int], returns: Float[np.ndarray, "seeds"]) -> None:
        """Keep the returns of some seeds."""
        new = dict(zip(seeds, map(float, returns), strict=True))
        self._known |= {(name, seed): value for seed, value in new.items()}
        if self._log is None or not primary():
            return
        rows = [
            (name, seed, repr(value) if math.isfinite(value) else "") for seed, value in new.items()
        ]
        self._log.write(map(_as_csv, rows if self._log.texts() else [COLUMNS, *rows]))


def _as_csv(row: Sequence[object]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(row)  # its end of a line says what is put in quotes
    return text.getvalue().removesuffix("\r\n")
