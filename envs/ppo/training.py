"""The host's side of a training: compiled chunks, after each a line in the log and a checkpoint."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from envs.ppo.learner import PPO, Metrics, TrainState
from mpo import treefile
from mpo.log import JsonLog, Line

Visit = Callable[[TrainState], Mapping[str, Any]]
"""Called after each chunk; what it returns is logged, and a true `enough` ends the training."""


def train(
    ppo: PPO,
    key: PRNGKeyArray,
    folder: Path,
    *,
    chunk: int = 10,
    policy: Any = None,
    visit: Visit = lambda _: {},
    report: Callable[[Line], None] = lambda _: None,
) -> TrainState:
    """Train in `folder`, or go on with what is in it, to the end or until `visit` says enough.

    Interrupted at any moment and called again it ends in the same state, bit for
    bit. The last chunk may go beyond the last iteration, at learning rate 0.

    Args:
      ppo: the learner, with its task and settings.
      key: all randomness of the training.
      folder: holds `checkpoint.npz` and `metrics.jsonl`.
      chunk: iterations between two visits, compiled as one.
      policy: parameters to start from, in place of fresh ones.
      visit: looks at the state after each chunk.
      report: is handed each line of the log, for a display.
    """
    checkpoint, log = folder / "checkpoint.npz", _log(folder)
    state = _resume(ppo, key, policy, checkpoint)
    # A chunk may have been logged whose checkpoint was not written.
    lines = log.cut(lambda line: line["iteration"] <= int(state.iteration))
    enough = bool(lines and lines[-1].get("enough"))
    spent = lines[-1]["seconds"] if lines else 0.0
    while not enough and int(state.iteration) < ppo.settings.iterations:
        began = time.monotonic()
        state, metrics = jax.block_until_ready(_run(ppo, state, chunk))
        rate = chunk * ppo.settings.batch / (time.monotonic() - began)
        visited = dict(visit(state))
        spent += time.monotonic() - began
        line = {
            "iteration": int(state.iteration),
            "steps": int(state.iteration) * ppo.settings.batch,
            "seconds": round(spent, 1),
            "steps_per_second": round(rate),
            **_summary(metrics),
            **visited,
        }
        log.add(line)
        treefile.replace(checkpoint, treefile.pack(state))
        report(line)
        enough = bool(visited.get("enough"))
    return state


def read_log(folder: Path) -> list[Line]:
    """Return a line for each chunk: `iteration`, `steps`, `seconds`, and what was measured."""
    return _log(folder).lines()


def _log(folder: Path) -> JsonLog:
    return JsonLog(folder / "metrics.jsonl")


def _resume(ppo: PPO, key: PRNGKeyArray, policy: Any, checkpoint: Path) -> TrainState:
    if not checkpoint.exists():
        return _init(ppo, key, policy)
    try:
        return treefile.unpack(checkpoint.read_bytes(), treefile.template(ppo.init, key, policy))
    except treefile.Misfit as error:
        raise RuntimeError(f"{checkpoint}: {error}; delete it to begin again") from error


@partial(jax.jit, static_argnums=0)
def _init(ppo: PPO, key: PRNGKeyArray, policy: Any) -> TrainState:
    return ppo.init(key, policy)


@partial(jax.jit, static_argnums=(0, 2))
def _run(ppo: PPO, state: TrainState, length: int) -> tuple[TrainState, Metrics]:
    return jax.lax.scan(lambda s, _: ppo.iterate(s), state, None, length=length)


def _summary(metrics: Metrics) -> Line:
    """Return the mean of each metric over the chunk, and of the returns of its whole episodes."""
    numbers = {name: np.asarray(value) for name, value in metrics.items()}
    episodes, total = numbers.pop("episodes").sum(), numbers.pop("return_sum").sum()
    training = float(total / episodes) if episodes else None
    return {"training_return": training, **{k: float(v.mean()) for k, v in numbers.items()}}
