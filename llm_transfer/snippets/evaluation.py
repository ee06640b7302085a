"""Values and gradients of objectives and snippets on many pairs at once."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from llm_transfer.snippets.points import Points
from mpo.comparison import Comparison
from mpo.objectives import Objective

Loss = Callable[..., Any]


class Evaluated(NamedTuple):
    """Losses, shape [N], and their gradients by log π of chosen and rejected, shape [N, 2]."""

    values: np.ndarray
    gradients: np.ndarray


def of_objective(objective: Objective, points: Points, dtype: type[np.floating]) -> Evaluated:
    """Evaluate the objective of `mpo`, computed in `dtype`."""

    def loss(logp_w: Any, logp_l: Any, **given: Any) -> Any:
        def both(name: str) -> Any:
            sides = [given.get(f"{name}_{side}") for side in "wl"]
            return None if sides[0] is None else jnp.stack(sides)

        lengths = both("len")
        return at(
            Comparison(
                logp=jnp.stack([logp_w, logp_l]),
                length=jnp.ones(2, dtype) if lengths is None else lengths,
                ref_logp=both("ref_logp"),
                reward=both("reward"),
            ),
            given.get("progress", 0.0),
        )

    with jax.enable_x64(dtype is np.float64):
        at = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), objective)
        return _of_jax(loss, points, dtype)


def of_jax(loss: Loss, points: Points, dtype: type[np.floating]) -> Evaluated:
    """Evaluate a JAX function of one pair, computed in `dtype`."""
    with jax.enable_x64(dtype is np.float64):
        return _of_jax(loss, points, dtype)


def _of_jax(loss: Loss, points: Points, dtype: type[np.floating]) -> Evaluated:
    given = {name: jnp.asarray(values, dtype) for name, values in points.items()}
    logp = (given.pop("logp_w"), given.pop("logp_l"))

    def one(logp: Any, rest: Any) -> Any:
        return loss(*logp, **rest)

    values, gradients = jax.jit(jax.vmap(jax.value_and_grad(one)))(logp, given)
    return Evaluated(np.asarray(values), np.stack(gradients, axis=-1))


def of_torch(loss: Loss, points: Points, dtype: type[np.floating]) -> Evaluated:
    """Evaluate a PyTorch function of pairs, computed in `dtype`."""
    import torch

    given = {name: torch.as_tensor(values.astype(dtype)) for name, values in points.items()}
    logp = [given[name].requires_grad_() for name in ("logp_w", "logp_l")]
    values = loss(**given)
    total = values.sum() + 0 * sum(one.sum() for one in logp)  # of those it does not use: zero
    gradients = torch.autograd.grad(total, logp)
    return Evaluated(
        values.detach().numpy(), np.stack([one.numpy() for one in gradients], axis=-1)
    )
