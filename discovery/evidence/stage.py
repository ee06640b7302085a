"""A stage before the training that is compared: an SFT of the same data, at a rate of its own.

DPO and its kin are made for an agent that has seen the task, which is also their reference: from
an untrained one they earn next to nothing. One agent is fine-tuned on each dataset of a purpose,
by the rate that is best on the data of tunings; both are kept in the cache.
"""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

import mpo
from discovery.config import Config
from discovery.config.sections import REFERRING, SFT
from discovery.evidence import tuning
from discovery.evidence.tuning import Tuned
from discovery.host.processes import all_devices, gathered
from discovery.search import situation, streams
from discovery.search.cohort import Cohort
from discovery.search.situation import Report, Situation
from discovery.search.streams import Purpose
from envs.data import cache_folder
from mpo import paths, treefile
from mpo.claim import waited_for
from mpo.errors import RequestError
from mpo.train import replicated, stacked
from mpo.versions import versions

_OWN_SEED = 2**31
"""Which seed of a purpose the agent of a stage is drawn from; those that are compared are below."""
_FORMAT = 1


def prepare(
    config: Config,
    purpose: Purpose,
    devices: Mesh,
    report: Report = lambda done, rows: None,
) -> Situation:
    """Prepare a situation with the stage that its training starts with, if there is one."""
    ground = situation.prepare(config, purpose, devices, report)
    if not config.training.staged:
        return ground
    if jax.process_count() > 1:
        raise RequestError("a stage before the training is for a run in one process")
    stages = tuple(_agent(config, ground, purpose, number) for number in range(len(config.data)))
    return dataclasses.replace(ground, stages=replicated(stages, devices))


def described(config: Config) -> dict[str, Any]:
    """Return what the stage of a description is, as plain JSON values; empty without one."""
    if not config.training.staged:
        return {}
    tuned = rate(config)
    return {
        "objective": SFT,
        "from": config.training.before,
        "for": config.training.after_sft,
        "learning_rate": tuned.learning_rate,
        "mean_when_tuned": tuned.mean.mean,
    }


def rate(config: Config) -> Tuned:
    """Return SFT tuned in a situation without its stage, on data and seeds set aside for that."""

    def tuned() -> bytes:
        plain = _without(config)
        ground = situation.prepare(plain, Purpose.TUNING, all_devices())
        episodes = min(tuning.EPISODES, config.evaluation.episodes)
        key = streams.key(Purpose.TUNING, config.seed)
        found = tuning.tune(SFT, ground, key, tuning.SEEDS, episodes)
        return json.dumps(found.as_json()).encode()

    rule = tuning.plan(situation.algorithm(config, mpo.objective(SFT)))
    content = _kept(config, {"tuned": rule}, ".json", tuned)
    return Tuned.from_json(json.loads(content))


def agent(ground: Situation, learning_rate: float, purpose: Purpose, seed: int, of: int) -> Any:
    """Return the parameters of an agent that was fine-tuned on a dataset.

    Args:
      ground: where, prepared for the purpose and without a stage.
      learning_rate: of the SFT.
      purpose: that the agent is for.
      seed: of the description.
      of: which dataset of the situation.
    """
    base = paths.put(ground.algorithm(mpo.objective(SFT)), "descent.learning_rate", learning_rate)
    key = jax.random.fold_in(streams.key(purpose, seed), jnp.uint32(_OWN_SEED))
    found = Cohort(ground, 1).train(stacked([base], each=1), key[None], of)
    if not gathered(found.finite).all():
        raise RequestError("the SFT that agents were to start from did not stay finite")
    return jax.tree.map(lambda leaf: gathered(leaf)[0], found.params)


def _agent(config: Config, ground: Situation, purpose: Purpose, dataset: int) -> Any:
    """Return the agent of a description's stage, from the cache if it is there."""
    tuned = rate(config)

    def trained() -> bytes:
        return treefile.pack(agent(ground, tuned.learning_rate, purpose, config.seed, dataset))

    of = {"agent": tuned.as_json(), "purpose": int(purpose), "dataset": dataset}
    like = treefile.template(ground.task.policy.init, jax.random.key(0))
    return treefile.unpack(_kept(config, of, ".npz", trained), like)


def _kept(config: Config, of: dict[str, Any], ending: str, make: Callable[[], bytes]) -> bytes:
    """Return what is in the cache of a situation's stages, made by `make` if it is not yet."""
    plain = _without(config).as_json()
    asked = {part: plain[part] for part in ("task", "data", "training", "seed")}
    episodes = config.evaluation.episodes
    key = [_FORMAT, asked, episodes, of, versions("jax", "jaxlib", "optax", "brax")]
    digest = treefile.digest([json.dumps(key, sort_keys=True)])
    path = cache_folder().parent / "stages" / f"{config.task.name}-{digest[:24]}{ending}"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with waited_for(path.with_suffix(".lock")):
            if not path.exists():
                treefile.replace(path, make())
    return path.read_bytes()


def _without(config: Config) -> Config:
    start = config.training.before
    training = dataclasses.replace(config.training, start=start, after_sft=REFERRING)
    return dataclasses.replace(config, training=training)
