"""A situation: the task, the preference data on the devices, and how agents are trained in it."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import PRNGKeyArray

import envs
from discovery.config import Config, Data, Training
from discovery.config.sections import ALL, FRESH, STANDARD
from discovery.search import regime, streams, user_file
from discovery.search.streams import Purpose
from envs import data
from envs.data import Dataset, Plan, View
from mpo.errors import RequestError, unknown
from mpo.objectives import Objective
from mpo.train import (
    WAYS,
    Algorithm,
    Descent,
    Fixed,
    Renewal,
    Source,
    fresh,
    hyper,
    moments,
    replicated,
)

REFERENCE = "ref_logp"
"""What a loss needs of a comparison that refers to a reference agent."""

_LEAST_DEVIATION = 1e-6

Report = Callable[[int, int], None]
"""Called with the rows of a dataset that are made, and the rows in all."""


@dataclass(frozen=True, eq=False)
class Situation:
    """What agents are trained on and measured by; the same for every objective.

    Attributes:
      task: where agents act.
      sources: the datasets, once on each device; `None` where agents need none, as all that they
        are trained on is written in training.
      moments: of their observations, for the normaliser of fresh agents; `None` entries
        for none.
      start: parameters agents start from; `None` for a fresh one from each key.
      descent: how agents follow the slope of their loss, if an algorithm does not say.
      training: how a population is run.
      devices: the mesh a population is spread over.
      key: what the seeds of agents are drawn from, of the purpose that this was prepared for.
      renewal: what happens to the data between rounds, if an algorithm does not say.
      stages: agents that were fine-tuned on each dataset first, and that losses begin from which
        `training.after_sft` names; none where there is no such stage.
    """

    task: envs.Task
    sources: tuple[Source | None, ...]
    moments: tuple[Any, ...]
    start: Any
    descent: Descent
    training: Training
    devices: Mesh
    key: PRNGKeyArray
    renewal: Renewal = field(default_factory=Fixed)
    stages: tuple[Any, ...] = ()

    @property
    def has_data(self) -> bool:
        """Whether agents see a dataset, and not only what is written in training."""
        return all(source is not None for source in self.sources)

    def begins(self, objective: Objective, dataset: int) -> Any:
        """Return the parameters that agents of a loss start from; `None` for fresh ones."""
        after = self.training.after_sft == ALL or REFERENCE in objective.needs
        return self.stages[dataset] if self.stages and after else self.start

    def algorithm(self, objective: Objective | Algorithm) -> Algorithm:
        """Return an objective as it is trained here; an algorithm as it is."""
        if isinstance(objective, Algorithm):
            return objective
        return regime.fitting(
            Algorithm(objective=objective, renewal=self.renewal, descent=self.descent)
        )


def begin(task: envs.Task, key: jax.Array, moments: Any, start: Any) -> Any:
    """Return the parameters of an agent before its training: `start`, or a fresh one's."""
    return start if start is not None else fresh(task.policy, key, moments)


def algorithm(config: Config, objective: Objective) -> Algorithm:
    """Return an objective as it is trained in what `config` describes; nothing is prepared."""
    training = config.training
    renewing = regime.renewal(task_of(config), training)
    return regime.fitting(
        Algorithm(objective=objective, renewal=renewing, descent=hyper(**training.hyper))
    )


def plan(config: Config, dataset: Data, purpose: Purpose) -> Plan:
    """Check what a dataset is to be made of; nothing is simulated."""
    seed = streams.data_seed(purpose, dataset.seed)
    settings = dict(config.task.settings)
    return data.plan(config.task.name, dataset.kind, seed=seed, **dataset.choices(), **settings)


def prepare(
    config: Config,
    purpose: Purpose,
    devices: Mesh,
    report: Report = lambda done, rows: None,
) -> Situation:
    """Make the datasets (or take them from the cache), and bring them onto the devices.

    A stage that is to come first is not trained here: `discovery.evidence.stage` does.
    """
    check(config)
    task, training = task_of(config), config.training
    key = streams.key(purpose, config.seed)
    sources: tuple[Any, ...] = (None,) * len(config.data)
    seen: tuple[Any, ...] = sources
    if regime.needs_data(task, training):
        sources = tuple(
            dataset_of(config, one, purpose, report).view(one.segment) for one in config.data
        )
        if training.rewards == STANDARD:
            sources = tuple(standard(source) for source in sources)
        seen = tuple(moments(source) if training.normalise else None for source in sources)
        sources = tuple(regime.judged(task, training, source, key) for source in sources)
    start = None if training.before == FRESH else task.agent(training.before)
    sources, seen, start = replicated((sources, seen, start), devices)
    return Situation(
        task,
        sources,
        seen,
        start,
        hyper(**training.hyper),
        training,
        devices,
        key,
        regime.renewal(task, training),
    )


def standard(view: Source) -> Source:
    """Return data with the rewards of responses around their mean, in units of their deviation."""
    if not isinstance(view, View) or view.reward is None:
        raise RequestError("training.rewards is 'standard', and the data have no rewards")
    reward = np.asarray(view.reward, np.float64)
    scaled = (reward - reward.mean()) / max(float(reward.std()), _LEAST_DEVIATION)
    return dataclasses.replace(view, reward=jnp.asarray(scaled, view.reward.dtype))


def dataset_of(config: Config, one: Data, purpose: Purpose, report: Report) -> Dataset:
    """Make a dataset of the run for a purpose, or take it from the cache or the user's file."""
    if one.path is not None:
        return user_file.part(one, task_of(config), purpose)
    planned = plan(config, one, purpose)
    return data.cached(planned.recipe, lambda path: planned.write(path, report))


def origin(config: Config, one: Data) -> dict[str, Any]:
    """Return where a dataset of the run is from, as plain JSON values for a provenance."""
    if one.path is not None:
        return user_file.origin(one)
    if _without(config):
        return {"written": "in training"}
    recipe = plan(config, one, Purpose.DISCOVERY).recipe
    return recipe.as_json() | {"sha256": recipe.digest}


def described(config: Config, one: Data, purpose: Purpose) -> dict[str, Any]:
    """Return what a dataset is, as plain JSON values: its recipe's hash, its arrays', its faults.

    A recipe gives other arrays on another machine; their fingerprint says which these are.
    """
    if not regime.needs_data(task_of(config), config.training):
        return {"written": "in training"}
    made = dataset_of(config, one, purpose, lambda done, rows: None)
    said: dict[str, Any] = {"rows": len(made), "fingerprint": made.fingerprint}
    if made.about.recipe is None:
        return said
    recipe, counted = made.about.recipe, data.statistics(made)
    return {
        "kind": recipe.kind,
        "seed": recipe.seed,
        "sha256": recipe.digest,
        **said,
        "flipped": counted.flipped,
        "expert_rows": counted.expert_rows,
    }


def earned(config: Config, purpose: Purpose) -> dict[str, float]:
    """Return the mean return of each author of the first dataset, in it, by name."""
    if not regime.needs_data(task_of(config), config.training):
        return {}
    made = dataset_of(config, config.data[0], purpose, lambda done, rows: None)
    if made.reward is None or made.agent is None:
        return {}
    means = {}
    for number, name in enumerate(made.about.agents):
        own = np.asarray(made.reward)[np.asarray(made.agent) == number]
        if own.size:
            means[name] = float(own.mean())
    return means


def check(config: Config) -> None:
    """Refuse a description that cannot be prepared, before anything is made."""
    for one in config.data:
        if one.path is not None:
            user_file.check(one, task_of(config))
        elif not _without(config):
            plan(config, one, Purpose.DISCOVERY)
    hyper(**config.training.hyper)
    regime.renewal(task_of(config), config.training)
    if config.training.way not in (*WAYS, "auto"):
        raise unknown("way to run a population", config.training.way, (*WAYS, "auto"))
    task = task_of(config)
    if config.training.before != FRESH:
        task.agent(config.training.before)


def _without(config: Config) -> bool:
    """Return whether a training has no dataset, and nobody who could write one."""
    if not config.training.regime:
        return False
    task = task_of(config)
    return not task.agents() and not regime.needs_data(task, config.training)


def task_of(config: Config) -> envs.Task:
    """Return the task of a description."""
    return envs.task(config.task.name, **dict(config.task.settings))
