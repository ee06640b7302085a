"""Values and gradients of objectives and snippets on many pairs at once."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from llm_transfer.snippets.points import Points
from mpo.comparison import Comparison
from mpo.objectives import Objective

Loss = Callable[..., Any]

# Each program runs once: what counts is the time to compile it, halved on a network by this.
_COMPILER: Final = {"xla_backend_optimization_level": 0}


class Evaluated(NamedTuple):
    """Losses, shape [N], and their gradients by log π of chosen and rejected, shape [N, 2]."""

    values: np.ndarray
    gradients: np.ndarray


def of_objective(objective: Objective, points: Points, dtype: type[np.floating]) -> Evaluated:
    """Evaluate the objective of `mpo`, computed in `dtype`."""

    def loss(numbers: Objective, logp: tuple[Any, Any], given: dict[str, Any]) -> Any:
        def both(name: str) -> Any:
            names = [f"{name}_{side}" for side in "wl"]
            return jnp.stack([given[one] for one in names]) if names[0] in given else None

        lengths = both("len")
        pair = Comparison(
            logp=jnp.stack(logp),
            length=jnp.ones(2, dtype) if lengths is None else lengths,
            ref_logp=both("ref_logp"),
            reward=both("reward"),
        )
        return numbers(pair, given.get("progress", 0.0))

    with jax.enable_x64(dtype is np.float64):
        numbers = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), objective)
        return _of_jax(loss, numbers, points, dtype)


def of_jax(loss: Loss, points: Points, dtype: type[np.floating]) -> Evaluated:
    """Evaluate a JAX function of one pair, computed in `dtype`."""

    def of_pair(_: None, logp: tuple[Any, Any], given: dict[str, Any]) -> Any:
        return loss(*logp, **given)

    with jax.enable_x64(dtype is np.float64):
        return _of_jax(of_pair, None, points, dtype)


def _of_jax(loss: Loss, numbers: Any, points: Points, dtype: type[np.floating]) -> Evaluated:
    """Evaluate a loss of numbers that all pairs share, of log π, and of the other inputs."""
    given = {name: jnp.asarray(values, dtype) for name, values in points.items()}
    logp = (given.pop("logp_w"), given.pop("logp_l"))
    of_each = jax.vmap(jax.value_and_grad(loss, argnums=1), in_axes=(None, 0, 0))
    values, gradients = jax.jit(of_each, compiler_options=_COMPILER)(numbers, logp, given)
    return Evaluated(np.asarray(values), np.stack(gradients, axis=-1))


def of_torch(loss: Loss, points: Points, dtype: type[np.floating]) -> Evaluated:
    """Evaluate a PyTorch function of pairs, computed in `dtype`."""
    import torch

    given = {name: torch.as_tensor(values.astype(dtype)) for name, values in points.items()}
    logp = [given[name].requires_grad_() for name in ("logp_w", "logp_l")]
    values = loss(**given)
    total = values.sum() + 0 * sum(one.sum() for one in logp)  # of those it does not use: zero
    gradients = torch.autograd.grad(total, logp)
    return Evaluated(values.detach().numpy(), np.stack([one.numpy() for one in gradients], axis=-1))
