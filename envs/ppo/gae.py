"""Generalised advantage estimation, with falls and time limits told apart."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def advantages(
    reward: Float[Array, "steps envs"],
    value: Float[Array, "steps envs"],
    next_value: Float[Array, "steps envs"],
    terminated: Bool[Array, "steps envs"],
    ended: Bool[Array, "steps envs"],
    discount: float,
    trace: float,
) -> Float[Array, "steps envs"]:
    """Return A_t = δ_t + γ λ A_{t+1}, with δ_t = r_t + γ V(s_{t+1}) − V(s_t).

    Schulman et al. 2016 (arXiv 1506.02438). A fall (`terminated`) has no future
    value; a time limit (`ended` without `terminated`) keeps it, so that the agent
    does not take the clock for a property of the world. Both cut the sum.

    Args:
      reward: reward of each step.
      value: V of the state before the step.
      next_value: V of the state after it, before any reset.
      terminated: the step ended in a fall.
      ended: the step was the last of its episode, for whatever reason.
      discount: γ.
      trace: λ.
    """
    surprise = reward + discount * jnp.where(terminated, 0.0, next_value) - value
    keep = jnp.where(ended, 0.0, discount * trace)

    def back(after: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        delta, weight = now
        total = delta + weight * after
        return total, total

    return jax.lax.scan(back, jnp.zeros_like(reward[0]), (surprise, keep), reverse=True)[1]
