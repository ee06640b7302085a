"""A loss is tuned on the public faults, and measured on the sealed situations."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import mpo
from discovery.evidence import stage, tuning
from discovery.evidence.contest import measured, measures
from discovery.evidence.tuning import Tuned
from discovery.host.processes import all_devices
from discovery.judging.sealed import SealedSet
from discovery.search import situation
from discovery.search.cohort import Cohort
from discovery.search.situation import REFERENCE
from discovery.search.streams import Purpose
from mpo.train import replicated, stacked

Tell = Callable[[dict[str, Any]], None]

TUNED, MEASURED, SAID = "tuned", "measured", "said"
"""What is told: the settings; what agents of a situation earn; and, for people, what goes on."""
NAME, EXPERT = "situation", "expert"


def judge(sealed: SealedSet, name: str, done: Mapping[str, Any], tell: Tell) -> None:
    """Tune a loss, and measure it in every sealed situation; tell each as it is done.

    Args:
      sealed: the set.
      name: of the loss, as `mpo.objective` takes it.
      done: what was told of it before, which is not done again: its settings under `TUNED`, and
        the names of situations under `MEASURED`.
      tell: is told tables with one entry, of plain JSON values.
    """
    tuned = Tuned.from_json(done[TUNED]) if TUNED in done else _tuned(sealed, name, tell)
    for one in sealed.situations:
        if one not in done.get(MEASURED, ()):
            tell({SAID: f"measuring: {one}"})
            tell({MEASURED: {NAME: one, **_measured(sealed, name, tuned, one)}})


def _tuned(sealed: SealedSet, name: str, tell: Tell) -> Tuned:
    tell({SAID: "preparing the data"})
    ground = stage.prepare(sealed.tuning(), Purpose.TUNING, all_devices())

    def told(done: int, points: int) -> None:
        tell({SAID: f"tuning, {done} of {points} points done"})

    found = tuning.tune(name, ground, ground.key, sealed.tried, sealed.episodes, told)
    tell({TUNED: found.as_json()})
    return found


def _measured(sealed: SealedSet, name: str, tuned: Tuned, one: str) -> dict[str, Any]:
    """Return what the expert earns in a situation, and every agent, shape [draws, agents]."""
    described, objective = sealed.situation(one), mpo.objective(name)
    ground = situation.prepare(described, Purpose.SEALED, all_devices())
    if REFERENCE in objective.needs:
        rate = stage.rate(sealed.tuning()).learning_rate
        stages = tuple(
            stage.agent(ground, rate, Purpose.SEALED, described.seed, of)
            for of in range(len(ground.sources))
        )
        ground = dataclasses.replace(ground, stages=replicated(stages, ground.devices))
    numbers = jnp.arange(sealed.agents, dtype=jnp.uint32)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(ground.key, numbers)
    algorithm = stacked([tuned.algorithm(ground.algorithm(objective))], each=sealed.agents)
    cohort = Cohort(ground, sealed.episodes)
    found = measured(cohort, algorithm, keys, measures(ground.task))
    earned = situation.earned(described, Purpose.SEALED)[described.data[0].expert]
    return {EXPERT: earned, **{measure: _plain(values) for measure, values in found.items()}}


def _plain(values: np.ndarray) -> Any:
    """Return numbers as JSON has them; null where one is not finite."""
    plain = values.astype(object)
    plain[~np.isfinite(values)] = None
    return plain.tolist()
