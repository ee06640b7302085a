"""Which candidate a run ends with: by the return of agents, or by a measure brought from elsewhere.

A package that this one may not import brings its measure as an entry point of the group
`discovery.selections`: a function of settings to a `Measure`, which refuses wrong settings.
"""

import importlib.metadata
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from discovery.config import Evaluation
from discovery.evidence import statistics
from discovery.evidence.statistics import Mean
from discovery.runs.folder import Folder
from discovery.search import streams
from discovery.search.cohort import Cohort
from discovery.search.search import Search, State
from discovery.search.streams import Purpose
from mpo.errors import RequestError, unknown
from mpo.log import Say
from mpo.objectives import Objective
from mpo.train import Algorithm

GROUP = "discovery.selections"

Scores = Mapping[str, Float[np.ndarray, "seeds"]]
Measure = Callable[[Mapping[str, Objective], int, Path, Say], Scores]
"""Candidates, seeds of each, a folder of its own to go on in, and whom to tell what it is doing,
to the score of each candidate with every seed: higher is better, not finite is failed."""


def select(
    search: Search, state: State, folder: Folder, told: Say
) -> tuple[str, dict[str, Mean], Algorithm]:
    """Return the candidate of the best mean score by name, all means, and its algorithm."""
    zetas, asked = search.candidates(state), search.config.evaluation
    other = measure(asked)
    if other is None:
        scores = _returns(search, zetas)
    else:
        objectives = {name: search.objective(zeta) for name, zeta in zetas.items()}
        scores = other(objectives, asked.selection_seeds, folder.selection, told)
    means = {name: statistics.mean(scores[name]) for name in zetas}
    whole = {n: m.mean if not m.failed else -math.inf for n, m in means.items()}
    best = max(whole, key=lambda name: whole[name])
    return best, means, search.algorithm(zetas[best])


def measure(asked: Evaluation) -> Measure | None:
    """Return the measure that is asked for; `None` for the return of agents.

    Raises:
      RequestError: no package that is installed brings it, its settings are wrong, or several
        processes would each have to compute it.
    """
    if asked.selection is None:
        if asked.selection_settings:
            raise RequestError("evaluation.selection_settings are of evaluation.selection: name it")
        return None
    known = {entry.name: entry for entry in importlib.metadata.entry_points(group=GROUP)}
    if asked.selection not in known:
        raise unknown("measure to select by", asked.selection, known)
    if jax.process_count() > 1:
        raise RequestError(f"selecting by {asked.selection} is for a run in one process")
    found: Measure = known[asked.selection].load()(**dict(asked.selection_settings or {}))
    return found


def _returns(search: Search, zetas: Mapping[str, Array]) -> Scores:
    """Train agents under every candidate, from keys the search never used; what each earns."""
    asked = search.config.evaluation
    cohort = Cohort(search.situation, asked.episodes, search.config.search.action)
    keys = jax.random.split(
        streams.key(Purpose.SELECTION, search.config.seed), asked.selection_seeds
    )
    each = jnp.repeat(jnp.stack(list(zetas.values())), asked.selection_seeds, axis=0)
    returns = cohort.earn(search.algorithms(each), jnp.tile(keys, len(zetas)))
    return dict(zip(zetas, returns.reshape(len(zetas), -1), strict=True))
