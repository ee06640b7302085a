"""Where a training lives: the log-probabilities that an objective saw as it went on."""

from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, PRNGKeyArray

import envs
from discovery.host.processes import gathered
from discovery.search.situation import Situation, begin
from mpo import treefile
from mpo.errors import RequestError
from mpo.objectives import Objective
from mpo.train import Algorithm, Source, population, snapshots, stacked, updates_before
from mpo.train.logprob import log_probs
from mpo.train.order import Order
from mpo.train.population import Population

FILE: Final = "trajectory.npz"
"""What the trajectory of a run is called in its folder."""
MOMENTS: Final = 16
PAIRS: Final = 256


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Log-probabilities of the same comparisons at some moments of a training.

    As its objective saw them: divided by length if it normalises by that.

    Attributes:
      progress: of the training at each moment, from 0 to 1, shape [moments].
      chosen: log π of the best response of each comparison, shape [moments, pairs].
      rejected: log π of the worst response, of the same shape.
    """

    progress: Float[np.ndarray, "moments"]
    chosen: Float[np.ndarray, "moments pairs"]
    rejected: Float[np.ndarray, "moments pairs"]

    def visited(self) -> "Visited":
        """Return the comparisons of all moments, but for those that are not finite."""
        progress = np.broadcast_to(self.progress[:, None], self.chosen.shape)
        finite = np.isfinite(self.chosen) & np.isfinite(self.rejected)
        if not finite.any():
            raise RequestError(
                "the trajectory has no finite log-probabilities: nothing was trained"
            )
        return Visited(progress[finite], self.chosen[finite], self.rejected[finite])

    def save(self, path: Path) -> None:
        """Write the three arrays as an npz file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        treefile.replace(path, treefile.pack(vars(self)))


@dataclass(frozen=True, eq=False)
class Visited:
    """Comparisons that a training saw, in no particular order.

    Attributes:
      progress: of the training when a comparison was seen, from 0 to 1, shape [points].
      chosen: log π of its best response, of the same shape.
      rejected: log π of its worst response, of the same shape.
    """

    progress: Float[np.ndarray, "points"]
    chosen: Float[np.ndarray, "points"]
    rejected: Float[np.ndarray, "points"]


def load(path: Path) -> Trajectory:
    """Return the trajectory in a file that `Trajectory.save` wrote.

    Raises:
      RequestError: there is none, or it is damaged.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            arrays = {name: np.asarray(held[name], np.float32) for name in held.files}
        trajectory = Trajectory(**arrays)
        if arrays["chosen"].shape != arrays["rejected"].shape or arrays["chosen"].ndim != 2:
            raise ValueError("its arrays do not fit each other")
        if arrays["progress"].shape != arrays["chosen"].shape[:1]:
            raise ValueError("its moments do not fit its comparisons")
    # The readers of zip and npy answer odd bytes with more than a dozen kinds of error.
    except Exception as error:
        raise RequestError(
            f"{path} holds no trajectory: {error or type(error).__name__}"
        ) from error
    return trajectory


def record(
    objective: Objective | Algorithm,
    situation: Situation,
    key: PRNGKeyArray,
    *,
    agents: int = 1,
    moments: int = MOMENTS,
    pairs: int = PAIRS,
) -> Trajectory:
    """Train agents under an objective, and return what it saw at equally spaced moments.

    Agents are trained as in a `Cohort`: one with the same key has the same parameters in the
    end. All of them, on all datasets of the situation, are one trajectory.

    Args:
      objective: the loss, or an algorithm.
      situation: what agents are trained on.
      key: what agents, minibatches and the recorded comparisons are drawn from.
      agents: how many are trained on each dataset.
      moments: how many are recorded, the first before training and the last after it.
      pairs: comparisons of each agent, or all there are if that is fewer.
    """
    sources = [source for source in situation.sources if source is not None]
    if len(sources) < len(situation.sources):
        raise RequestError(
            "what a loss sees is recorded on a dataset, and all responses are written in training"
        )
    training, algorithm = situation.training, situation.algorithm(objective)
    train = _recording(
        situation.task, moments, pairs, training.way, training.chunk, situation.devices
    )
    keys = jax.random.key_data(jax.random.split(key, agents))
    members = (stacked([algorithm], each=agents), keys)
    parts = [
        train(members, source, seen, situation.begins(algorithm.objective, number))
        for number, (source, seen) in enumerate(
            zip(situation.sources, situation.moments, strict=True)
        )
    ]
    logp = np.concatenate([gathered(part) for part in parts], axis=2)  # [agents, moments, …, 2]
    chosen, rejected = np.moveaxis(np.swapaxes(logp, 0, 1).reshape(moments, -1, 2), -1, 0)
    updates = algorithm.descent.count(sources[0].size)
    made = updates_before(moments, updates).astype(np.float32)
    return Trajectory(np.minimum(made / max(updates - 1, 1), 1.0), chosen, rejected)


@lru_cache(maxsize=8)
def _recording(
    task: envs.Task, moments: int, pairs: int, way: str, chunk: int, devices: Mesh
) -> Population:
    one = partial(_seen, task=task, moments=moments, pairs=pairs)
    return population(one, way, chunk=chunk, devices=devices)


def _seen(
    member: tuple[Algorithm, Array],
    source: Source,
    normaliser: Any,
    start: Any,
    *,
    task: envs.Task,
    moments: int,
    pairs: int,
) -> Float[Array, "moments pairs 2"]:
    """Train an agent, and return log π of the best and the worst response of some comparisons."""
    algorithm, raw = member
    key = jax.random.wrap_key_data(raw)
    first, order, _ = jax.random.split(key, 3)  # as `Cohort` does
    policy, objective = task.policy, algorithm.objective
    params = begin(task, first, normaliser, start)
    then = snapshots(algorithm, source, policy, order, moments=moments, start=params)
    some = Order.of(key, source.size, min(pairs, source.size), 1).items(jnp.int32(0))
    batch = source.batch(some)
    logp = jax.lax.map(lambda params: log_probs(policy, params, batch), then)
    if objective.length_normalise:
        steps = jnp.sum(batch.mask, axis=-1, dtype=logp.dtype)
        logp = logp / jnp.maximum(steps, 1)[None]
    return jnp.stack([logp[..., 0], logp[..., -1]], axis=-1)
