"""A run's folder: whose it is, what it was begun with, and where its parts are."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from discovery.config import Config
from mpo.claim import Claim


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

    def claimed(self, config: Config) -> AbstractContextManager[None]:
        """Hold the folder for a run of `config`, which it was made for or is made for now.

        Raises:
          RequestError: it belongs to a run of another description, another process is at
            work in it, or it cannot be written to.
        """
        return Claim(self.path, self.config.name, "run").held(config.as_json())
