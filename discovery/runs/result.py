"""What a run found, and what it is worth; as it is written in the folder of the run, and read."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import mpo
from discovery.config.sections import SAMPLED
from discovery.evidence import Returns, Table, Tuned, authors
from discovery.evidence.statistics import Mean
from discovery.evidence.trajectory import Trajectory
from discovery.runs.folder import Folder
from mpo.errors import RequestError
from mpo.log import numbers, strict
from mpo.objectives import Objective

FOUND = "found"


@dataclass(frozen=True)
class Result:
    """What a run found, and what it is worth.

    Attributes:
      objective: the objective of the selected candidate.
      selected: the name of the selected candidate, a key of `candidates`.
      candidates: mean score of each candidate, over the seeds of the selection: the return of
        agents, unless the run selects by another measure.
      returns: mean true return of the agent of each seed, by name of the objective.
      by_mean: the same by the agents' mean action; empty, where it was not measured.
      log_std: how the agents' actions spread; empty, where they do not.
      measured: what the task measures beside returns, by the name of the measure and of the
        objective.
      stage: what agents were trained by before, as `evidence.stage.described` says; empty, if by
        nothing.
      data: what each dataset is that the comparison is on, as `situation.described` says; empty in
        results from before that was kept.
      authors: mean return of the agents that made the data, by name.
      authors_by_mean: what they earn by their mean action; empty, where it was not measured.
      tuned: settings of the objectives it was compared with, if they were tuned.
      trajectory: of an agent trained under `objective` on the data of the search; `None` in a
        result that was read from a folder, where it has a file of its own.
      beside: settings of the algorithm that were found with the objective, by their paths.
    """

    objective: Objective
    selected: str
    candidates: Mapping[str, Mean]
    returns: Returns
    authors: Mapping[str, float]
    tuned: Mapping[str, Tuned] = field(default_factory=dict)
    trajectory: Trajectory | None = None
    beside: Mapping[str, float] = field(default_factory=dict)
    by_mean: Returns = field(default_factory=dict)
    log_std: Returns = field(default_factory=dict)
    measured: Mapping[str, Returns] = field(default_factory=dict)
    stage: Mapping[str, Any] = field(default_factory=dict)
    data: Sequence[Mapping[str, Any]] = ()
    authors_by_mean: Mapping[str, float] = field(default_factory=dict)

    def table(self) -> Table:
        """Return the comparison: differences are to the first objective it was against."""
        first, *others = (name for name in self.returns if name != FOUND)
        order = (first, FOUND, *others)
        levels, by_mean_levels = (
            authors.levels(dict(own)) for own in (self.authors, self.authors_by_mean)
        )
        notes = {name: "tuned" if name in self.tuned else "default" for name in (first, *others)}
        returns, by_mean, log_std = (
            {name: found[name] for name in order} if found else None
            for found in (self.returns, self.by_mean, self.log_std)
        )
        assert returns is not None
        return Table.of(
            returns, levels, notes, by_mean, log_std, SAMPLED, self.measured, by_mean_levels
        )

    def as_json(self) -> dict[str, Any]:
        """Return all but the objective and the trajectory as plain JSON values."""
        measured = {
            "returns": self.returns,
            "returns_by_mean_action": self.by_mean,
            "log_std": self.log_std,
        }
        return {
            "selected": self.selected,
            "candidates": {name: strict(vars(mean)) for name, mean in self.candidates.items()},
            **{
                name: {objective: _nullable(values) for objective, values in found.items()}
                for name, found in measured.items()
                if found or name == "returns"
            },
            **(
                {
                    "measured": {
                        measure: {objective: _nullable(values) for objective, values in own.items()}
                        for measure, own in self.measured.items()
                    }
                }
                if self.measured
                else {}
            ),
            "authors": dict(self.authors),
            **(
                {"authors_by_mean_action": dict(self.authors_by_mean)}
                if self.authors_by_mean
                else {}
            ),
            **({"stage": dict(self.stage)} if self.stage else {}),
            **({"data": [dict(one) for one in self.data]} if self.data else {}),
            "tuned": {name: one.as_json() for name, one in self.tuned.items()},
        }


def stored(folder: Folder) -> Result | None:
    """Return what a finished run found; `None` for one that is not finished."""
    return found(folder) if folder.report.exists() else None


def found(folder: Folder) -> Result:
    """Return what the results of a run say.

    Raises:
      RequestError: the artifact or the results are not there, or damaged.
    """
    objective = mpo.load(folder.objective).objective
    try:
        held = json.loads(folder.results.read_text())
        result = Result(
            objective=objective,
            selected=held["selected"],
            candidates={name: Mean(**numbers(mean)) for name, mean in held["candidates"].items()},
            returns=_arrays(held["returns"]),
            authors={name: float(value) for name, value in held["authors"].items()},
            tuned={n: Tuned.from_json(one) for n, one in held.get("tuned", {}).items()},
            by_mean=_arrays(held.get("returns_by_mean_action", {})),
            log_std=_arrays(held.get("log_std", {})),
            measured={name: _arrays(own) for name, own in held.get("measured", {}).items()},
            stage=held.get("stage", {}),
            data=held.get("data", ()),
            authors_by_mean={
                name: float(value) for name, value in held.get("authors_by_mean_action", {}).items()
            },
        )
        _check(result)
        return result
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RequestError(f"{folder.results} is damaged or missing: {error!r}") from error


def _check(result: Result) -> None:
    """Refuse measures that do not fit each other."""
    seeds = result.returns[FOUND].shape
    for own in (result.returns, result.by_mean, result.log_std, *result.measured.values()):
        if own and not own.keys() >= result.returns.keys():
            raise ValueError(f"{', '.join(result.returns.keys() - own.keys())} was not measured")
        if any(values.shape != seeds for values in own.values()):
            raise ValueError("objectives were measured on different seeds")
    if len(seeds) != 1 or len(result.returns) < 2:
        raise ValueError("nothing was compared")


def _arrays(values: Mapping[str, Any]) -> Returns:
    return {name: np.array(own, float) for name, own in values.items()}


def _nullable(values: np.ndarray) -> list[float | None]:
    return [float(v) if math.isfinite(v) else None for v in values]
