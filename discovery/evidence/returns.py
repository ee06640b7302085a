"""What agents earn, by objective and seed, in memory or in a file that survives an interruption."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from discovery.config.sections import MEAN, SAMPLED
from discovery.host.processes import primary, same_text
from mpo import treefile
from mpo.errors import RequestError
from mpo.log import Log

Returns = Mapping[str, Float[np.ndarray, "*draws seeds"]]
"""What agents earn, by name: of each seed, or of each draw of the data and each seed."""

MEASURES = RETURN, BY_MEAN, LOG_STD = ("return", "return by mean action", "log-std")
"""What is measured of an agent: its mean true return as it acts, and by its mean action alone; how
its actions spread, a mean over their entries. Columns of the file, which may have others after
them: what a task measures beside."""
OF_ACTION: Mapping[str, str] = {SAMPLED: RETURN, MEAN: BY_MEAN}
"""The return that agents earn by an action."""

_NAMED = ("objective", "seed")
_MISSING = "-"


class Store:
    """What is measured already; with a path, a CSV file that is added to as it comes.

    What was not finite is an empty entry in the file, and NaN here; what was not measured of an
    agent is "-". Of several processes the primary one reads and writes the file, and all know
    what it says.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Read what the file has; its last line may have been cut off."""
        self._log = None if path is None else Log(path)
        self._known: dict[tuple[str, int], dict[str, float]] = {}
        self._columns: tuple[str, ...] = ()
        if self._log is None:
            return
        try:
            whole = same_text("\n".join(self._log.texts()) if primary() else "")
            header, *rows = list(csv.reader(io.StringIO(whole, newline=""))) or [[*_NAMED]]
            if tuple(header[:2]) != _NAMED or (header[2:] and not {*header[2:]} & {*MEASURES}):
                raise ValueError("its columns are others")
            self._columns = tuple(header[2:])
            for name, seed, *values in rows:
                entries = dict(zip(self._columns, values, strict=True))
                self._known[name, int(seed)] = {
                    measure: float(value) if value else math.nan
                    for measure, value in entries.items()
                    if value != _MISSING
                }
        except (OSError, ValueError, csv.Error) as error:
            raise RequestError(
                f"{path} holds no returns ({error}): move it away, or choose another folder"
            ) from error

    def has(self, name: str, seed: int, measures: Iterable[str] = (RETURN,)) -> bool:
        """Return whether all of these were measured of the agent of an objective and seed."""
        return {*measures} <= self._known.get((name, seed), {}).keys()

    def get(self, name: str, seed: int, measure: str = RETURN) -> float:
        """Return what was measured of an agent."""
        return self._known[name, seed][measure]

    def returns(self, names: Iterable[str], seeds: Sequence[int], measure: str = RETURN) -> Returns:
        """Return a measure of some objectives over seeds that all of them have, by name."""
        return {
            name: np.array([self.get(name, seed, measure) for seed in seeds], np.float64)
            for name in names
        }

    def seeds(self, name: str, measure: str = RETURN) -> list[int]:
        """Return the seeds of which a measure is known of an objective, in order."""
        return sorted(
            seed for (known, seed), own in self._known.items() if known == name and measure in own
        )

    def measures(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return what was measured of every agent of some objectives."""
        own = [known for (name, _), known in self._known.items() if name in {*names}]
        return tuple(m for m in self.known() if own and all(m in known for known in own))

    def known(self) -> tuple[str, ...]:
        """Return what was measured of any agent: `MEASURES` first."""
        return _in_order(measure for own in self._known.values() for measure in own)

    def add(
        self,
        name: str,
        seeds: Sequence[int],
        measured: Mapping[str, Float[np.ndarray, "seeds"]],
    ) -> None:
        """Keep what was measured of some seeds, by the names of the measures."""
        for at, seed in enumerate(seeds):
            own = {measure: float(values[at]) for measure, values in measured.items()}
            self._known[name, seed] = self._known.get((name, seed), {}) | own
        if self._log is None or not primary():
            return
        wider = _in_order([*self._columns, *measured])
        if wider != self._columns:
            self._columns = wider
            self._log.path.parent.mkdir(parents=True, exist_ok=True)
            lines = [_as_csv([*_NAMED, *wider]), *map(self._line, self._known)]
            treefile.replace(self._log.path, "".join(f"{line}\n" for line in lines).encode())
        else:
            self._log.write(self._line((name, seed)) for seed in seeds)

    def texts(self, name: str, seed: int, measures: Iterable[str]) -> list[str]:
        """Return measures of an agent as they stand in the file."""
        own = self._known[name, seed]
        return [_said(own[m]) if m in own else _MISSING for m in measures]

    def _line(self, agent: tuple[str, int]) -> str:
        return _as_csv([*agent, *self.texts(*agent, self._columns)])


def _in_order(measures: Iterable[str]) -> tuple[str, ...]:
    found = dict.fromkeys(measures)
    return tuple(dict.fromkeys([*(m for m in MEASURES if m in found), *found]))


def _said(value: float) -> str:
    return repr(value) if math.isfinite(value) else ""


def _as_csv(row: Sequence[object]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(row)  # its end of a line says what is put in quotes
    return text.getvalue().removesuffix("\r\n")
