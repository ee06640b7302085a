"""What acting costs on top of the physics: `python -m benchmarks.rollouts [--task ant]`.

The same command on any machine. The bar is 0.90: a policy's rollout may take 11 % longer than
a bare `vmap(step)` scan of the same physics with actions given, for one agent and for many.
"""

import argparse
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

import envs
from benchmarks.timing import compare, machine
from envs.physics import PhysicsTask


def bare(task: PhysicsTask, lead: tuple[int, ...]) -> Callable[[Any, Any], jax.Array]:
    """Step the environment with given actions, over as many leading axes as `lead` has."""

    def over(function: Callable[..., Any]) -> Callable[..., Any]:
        for _ in lead:
            function = jax.vmap(function)
        return function

    def run(starts: Any, actions: jax.Array) -> jax.Array:
        def step(carry: tuple[Any, jax.Array], _: None) -> tuple[Any, None]:
            state, total = carry
            state, reward, _ = over(task.advance)(state, actions)
            return (state, total + reward + 1e-6 * over(task.observe)(state)[..., 0]), None

        carry = (over(task.begin)(starts), jnp.zeros(lead))
        return jax.lax.scan(step, carry, None, length=task.horizon)[0][1]

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", default="hopper")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--agents", type=int, default=16)
    parser.add_argument("--episodes", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=10)
    asked = parser.parse_args()
    task = envs.task(asked.task, horizon=asked.steps)
    assert isinstance(task, PhysicsTask)
    print(f"rollouts of {asked.task}, {asked.steps} steps, on {machine()}")
    for name, lead in {
        "one agent": (asked.batch,),
        "a population": (asked.agents, asked.episodes),
    }.items():
        report(task, name, lead, asked.rounds)


def report(task: PhysicsTask, name: str, lead: tuple[int, ...], rounds: int) -> None:
    key = jax.random.key(0)
    keys = jax.random.split(key, lead)
    start = task.start
    for _ in lead:
        start = jax.vmap(start)
    starts = jax.jit(start)(keys)
    actions = jax.random.uniform(key, (*lead, task.policy.action_size), jnp.float32, -1, 1)
    if len(lead) == 1:
        params = task.policy.init(key)
        over = lambda f: jax.vmap(f, (None, 0, 0))  # noqa: E731
    else:
        params = jax.vmap(task.policy.init)(jax.random.split(key, lead[0]))
        over = lambda f: jax.vmap(jax.vmap(f, (None, 0, 0)))  # noqa: E731
    timings = compare(
        {
            "bare": (bare(task, lead), (starts, actions)),
            "score": (over(task.score), (params, starts, keys)),
            "respond": (over(task.respond), (params, starts, keys)),
        },
        rounds=rounds,
    )
    steps = task.horizon * int(jnp.prod(jnp.array(lead)))
    for what, timing in timings.items():
        print(
            f"  {name:13} {what:8} {steps / timing.best:12,.0f} steps/s   "
            f"{timings['bare'].best / timing.best:4.2f} of bare   "
            f"compiled in {timing.compile:.1f} s"
        )


if __name__ == "__main__":
    main()
