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
      path: the folder of the run, which need not be there.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The description of the run, as JSON: the request that the folder belongs to."""
        return self.path / "config.json"

    @property
    def metrics(self) -> Path:
        """The log of the search: a JSON object for each generation."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints, from which an interrupted search goes on."""
        return self.path / "checkpoints"

    @property
    def objective(self) -> Path:
        """The artifact of the objective that was found, without its endings `.json` and `.npz`."""
        return self.path / "objective"

    @property
    def results(self) -> Path:
        """The selection of the candidates, and the returns of every agent that was compared."""
        return self.path / "results.json"

    @property
    def tuned(self) -> Path:
        """Tuned settings of the objectives that the one found is compared with."""
        return self.path / "tuned.json"

    @property
    def returns(self) -> Path:
        """The log of the comparison, as CSV: the mean true return of each agent."""
        return self.path / "returns.csv"

    @property
    def selection(self) -> Path:
        """The folder of a selection by another measure than returns."""
        return self.path / "selection"

    @property
    def report(self) -> Path:
        """The report as Markdown, written last: a run whose folder has it is finished."""
        return self.path / "report.md"

    def claimed(self, config: Config) -> AbstractContextManager[None]:
        """Hold the folder for the run that `config` describes; it is made, if it is not there.

        Raises:
          RequestError: it belongs to a run of another description, another process is at
            work in it, or it cannot be written to.
        """
        return Claim(self.path, self.config.name, "run").held(config.as_json())
