"""A run's folder: whose it is, what it was begun with, and where its parts are."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from discovery.config import Config
from discovery.config.reading import differences
from discovery.host.locked import LOCK, locked
from mpo import treefile
from mpo.errors import RequestError


@dataclass(frozen=True)
class Folder:
    """The files of one run.

    Attributes:
      path: the folder.
    """

    path: Path

    @property
    def config(self) -> Path:
        """What the run is described by."""
        return self.path / "config.json"

    @property
    def metrics(self) -> Path:
        """A line a generation."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Where the search can go on from."""
        return self.path / "checkpoints"

    @property
    def objective(self) -> Path:
        """What was found, without the endings `.json` and `.npz`."""
        return self.path / "objective"

    @property
    def results(self) -> Path:
        """The selection of the candidates, and the returns of every agent that was compared."""
        return self.path / "results.json"

    @property
    def tuned(self) -> Path:
        """Settings of the objectives that it is compared with, each as soon as it is found."""
        return self.path / "tuned.json"

    @property
    def returns(self) -> Path:
        """The return of every agent that was compared, as they come."""
        return self.path / "returns.csv"

    @property
    def selection(self) -> Path:
        """The folder of a selection by another measure than returns."""
        return self.path / "selection"

    @property
    def report(self) -> Path:
        """The page for people."""
        return self.path / "report.md"

    @contextmanager
    def claimed(self, config: Config) -> Iterator[None]:
        """Hold the folder for a run of `config`, which it was made for or is made for now.

        Raises:
          RequestError: it belongs to a run of another description, another process is at
            work in it, or it cannot be written to.
        """
        self._refuse_other(config)
        with locked(self.path):
            self._refuse_other(config)  # another process may have been first
            if not self.config.exists():
                text = json.dumps(config.as_json(), indent=2) + "\n"
                treefile.replace(self.config, text.encode())
            yield

    def _refuse_other(self, config: Config) -> None:
        if not self.config.exists():
            if self.path.is_dir() and any(p.name != LOCK for p in self.path.iterdir()):
                raise RequestError(
                    f"{self.path} holds files that are no run's: choose another folder with --out"
                )
            return
        try:
            held = json.loads(self.config.read_text())
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise RequestError(
                f"{self.config} cannot be read ({error}): move {self.path} away to begin anew"
            ) from error
        if odd := differences(config.as_json(), held if isinstance(held, dict) else {}):
            raise RequestError(
                f"{self.path} holds a run with other settings ({'; '.join(odd)}): repeat the "
                "request it was begun with to continue it, or choose another folder with --out"
            )
