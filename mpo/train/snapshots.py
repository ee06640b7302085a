"""Snapshots: the parameters of an agent at a few moments of its training."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from mpo.errors import RequestError
from mpo.objectives import Objective
from mpo.train.hyper import Hyper
from mpo.train.loop import Params, State, begin
from mpo.train.source import Policy, Source


def updates_before(moments: int, updates: int) -> Int[np.ndarray, "moments"]:
    """Return how many of the `updates` are made at each of some equally spaced moments.

    None at the first moment, all at the last.

    Raises:
      RequestError: there are fewer than two moments.
    """
    if moments < 2:
        raise RequestError(f"a training is looked at in at least 2 moments, not {moments}")
    return np.linspace(0, updates, moments).round().astype(np.int32)


@partial(jax.jit, static_argnames=("policy", "moments"))
def snapshots(
    objective: Objective,
    source: Source,
    policy: Policy,
    key: PRNGKeyArray,
    hyper: Hyper,
    moments: int,
    *,
    start: Params | None = None,
) -> Params:
    """Return the parameters at `moments` moments of what `train` does, on a leading axis.

    The first are those before training, the last those that `train` returns for the same
    arguments; see `updates_before` for those between.
    """
    training = begin(objective, source, policy, key, hyper, start)
    made = updates_before(moments, training.updates)
    spans = jnp.asarray(np.stack([np.append(0, made[:-1]), made], axis=1), jnp.int32)

    def stretch(state: State, span: Int[Array, "2"]) -> tuple[State, Params]:
        last = jax.lax.fori_loop(
            span[0], span[1], lambda n, state: training.update(state, n)[0], state
        )
        return last, last.params

    return jax.lax.scan(stretch, training.first, spans)[1]
