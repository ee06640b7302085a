"""Several agents by one algorithm, side by side: what each earns, and how each round went."""

import contextlib
import time
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float

import envs
from discovery.algorithms.training import EPISODES, divergence
from discovery.config import Config
from discovery.config.sections import MEAN
from discovery.evidence import stage
from discovery.evidence.contest import measures
from discovery.evidence.returns import BY_MEAN
from discovery.host.processes import all_devices, gathered
from discovery.search.cohort import Cohort, Trained
from discovery.search.situation import begin
from discovery.search.streams import Purpose
from mpo.errors import RequestError
from mpo.objectives import Objective
from mpo.train import Algorithm, Source, population, stacked, train
from mpo.train.population import Population


@dataclass(frozen=True)
class Several:
    """Agents of one algorithm.

    Attributes:
      returns: exact where the task knows it, else of sampled actions.
      by_mean: of the mean action, where there is one.
      kl: to the agent before training, in nats of a response.
      seconds: of an agent, compiling left out.
      rounds: what was recorded of each round, by name.
      change: of the log-probability of the best and of the worst response of a comparison, from
        the first stretch of the training to the last, by name.
    """

    returns: Float[np.ndarray, "agents"]
    by_mean: Float[np.ndarray, "agents"] | None
    kl: Float[np.ndarray, "agents"]
    seconds: float
    rounds: dict[str, Float[np.ndarray, "agents rounds"]]
    change: dict[str, Float[np.ndarray, "agents"]]


def several(
    config: Config,
    objective: Objective,
    seeds: range,
    purpose: Purpose = Purpose.EVALUATION,
    timed: bool = True,
) -> Several:
    """Train an agent from every seed and measure it.

    Args:
      config: where and how; the first of its datasets.
      objective: by which loss.
      seeds: of the agents; seed s is that of `carry_out`.
      purpose: whose data and streams.
      timed: whether to train twice, so that compiling is left out of the seconds.
    """
    ground = stage.prepare(config, purpose, all_devices())
    algorithm = ground.algorithm(objective)
    numbers = jnp.asarray([*seeds], jnp.uint32)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(ground.key, numbers)
    members = (stacked([algorithm], each=len(numbers)), jax.random.key_data(keys))
    start = ground.begins(objective, 0)
    how = ground.training
    run = _training(ground.task, how.way, how.chunk, ground.devices)
    for _ in range(2 if timed else 1):
        begun = time.monotonic()
        found = run(members, ground.sources[0], ground.moments[0], start)
        jax.block_until_ready(found)
        seconds = (time.monotonic() - begun) / len(numbers)
    agents, before, seen, ends = found
    returns, by_mean, kl = _worth(ground, agents, before)
    return Several(
        returns=returns,
        by_mean=by_mean,
        kl=kl,
        seconds=seconds,
        rounds={name: np.asarray(gathered(values)) for name, values in seen.items()},
        change={name: np.asarray(gathered(values)) for name, values in ends.items()},
    )


def _worth(ground: Any, agents: Trained, before: Any) -> tuple[Any, Any, Any]:
    task = ground.task
    if hasattr(task, "expected_return") and hasattr(task, "divergence"):
        with contextlib.suppress(RequestError):  # of an architecture that it is not known of
            exact, kl = (
                np.asarray(jax.jit(jax.vmap(of))(agents.params))
                for of in (task.expected_return, task.divergence)
            )
            return exact, None, kl
    cohort = Cohort(ground, EPISODES)
    still = cohort.score(agents, MEAN) if BY_MEAN in measures(task) else None
    keys = jax.vmap(jax.random.fold_in, (0, None))(jax.random.wrap_key_data(agents.key), 1)
    kl = jax.lax.map(lambda one: divergence(task, *one), (agents.params, before, keys))
    return cohort.score(agents), still, np.asarray(kl)


@lru_cache(maxsize=8)
def _training(task: envs.Task, way: str, chunk: int, devices: Mesh) -> Population:
    return population(partial(_one, task=task), way, chunk=chunk, devices=devices)


def _one(
    member: tuple[Algorithm, Array],
    source: Source | None,
    moments: Any,
    start: Any,
    *,
    task: envs.Task,
) -> tuple[Trained, Any, dict[str, Array], dict[str, Array]]:
    algorithm, raw = member
    first, order, episodes = jax.random.split(jax.random.wrap_key_data(raw), 3)
    before = begin(task, first, moments, start)
    params, metrics = train(algorithm, source, task.policy, order, start=before)
    ends = {name: getattr(metrics, name) for name in ("chosen", "rejected", "margin")}
    changes = {name: values[-1] - values[0] for name, values in ends.items()}
    trained = Trained(params, metrics.finite, jax.random.key_data(episodes))
    return trained, before, metrics.rounds, changes
