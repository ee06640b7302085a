"""The anchor of a task: where its likely responses lie in log π, so that a loss means the same.

A density has units: on one task the chosen responses of a trained agent lie at -1 a step, on
another at +6. A loss that bends anywhere is another loss there, unless it sees log π less a
constant of the task (`Wide.anchor`), in units of the task (`Wide.spread`).
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mpo.errors import RequestError
from mpo.train.logprob import log_probs
from mpo.train.reference import tabulated
from mpo.train.source import Batch, Policy, Source

QUANTILE = 0.95
"""Of the chosen responses, the share below the anchor where nothing else is asked."""


class Anchor(NamedTuple):
    """A constant of a task.

    Attributes:
      anchor: log π of a step that a given share of the chosen responses stay below.
      spread: entries of an action, over which log π is a sum; 1 for tokens.
    """

    anchor: float
    spread: float


def anchor(
    source: Source, policy: Policy, params: Any, quantile: float = QUANTILE, *, chunk: int = 64
) -> Anchor:
    """Return the anchor of a dataset and an agent, such as one after an SFT of these data.

    Args:
      source: the comparisons.
      policy: architecture of the agent.
      params: its parameters.
      quantile: share of the chosen responses, each by the mean log π of its steps, below it.
      chunk: items in memory at a time.
    """
    check(quantile)
    steps = _steps(source, policy, params, chunk)
    outputs = jax.eval_shape(source.batch, jnp.zeros(1, jnp.int32)).outputs
    entries = 1
    for size in outputs.shape[3:]:
        entries *= size
    return Anchor(float(jnp.quantile(steps, quantile)), float(entries))


def check(quantile: float) -> None:
    """Refuse what is no share of the chosen responses."""
    if not 0 <= quantile <= 1:
        raise RequestError(f"the quantile of an anchor must be in [0, 1], not {quantile}")


@partial(jax.jit, static_argnames=("policy", "chunk"))
def _steps(source: Source, policy: Policy, params: Any, chunk: int) -> Float[Array, "size"]:
    """Return the mean log π of the steps of each chosen response."""

    def per_step(batch: Batch) -> Float[Array, "b 1"]:
        logp = log_probs(policy, params, batch)
        return (logp / jnp.maximum(batch.length, 1).astype(logp.dtype))[:, :1]

    return tabulated(source, per_step, chunk)[:, 0]
