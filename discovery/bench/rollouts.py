"""Acting, beside the bare physics of as many steps."""

import math
from collections.abc import Callable
from typing import Any

import jax

import envs
from discovery.bench.table import Skipped, Table
from discovery.bench.timing import compare
from discovery.bench.workload import Workload
from envs.physics import PhysicsTask

Over = Callable[[Callable[..., Any]], Callable[..., Any]]


def measure(work: Workload) -> Table:
    """Time physics with given actions, returns of a policy, and whole responses, on one device."""
    if not isinstance(work.task, PhysicsTask):
        raise Skipped(f"task {work.task.name!r} has no physics that acting could be compared with")
    steps, rows = work.setting.steps, {}
    task = envs.task(work.setting.task, horizon=steps)
    assert isinstance(task, PhysicsTask)
    for lead in work.setting.rollouts:
        timings = compare(candidates(task, lead), work.setting.rounds)
        what = " x ".join(map(str, lead))
        for name, timing in timings.items():
            total = steps * math.prod(lead)
            rows[f"{name}, {what} episodes"] = {
                "env steps/s": total / timing.best,
                "of bare": timings["bare brax"].best / timing.best,
            }
    return Table(
        f"{steps} steps of {task.name} on one device",
        rows,
        ("bare brax is its physics alone: no policy, no observation, no reward, no end",),
    )


def candidates(task: PhysicsTask, lead: tuple[int, ...]) -> dict[str, tuple[Any, tuple[Any, ...]]]:
    """Return the programs, with their arguments; `lead` is (episodes,) or (agents, episodes)."""
    over = _over(len(lead))
    keys = jax.random.split(jax.random.key(0), lead)
    starts = jax.jit(over(task.start))(keys)
    shape = (*lead, task.policy.action_size)
    actions = jax.random.uniform(jax.random.key(1), shape, minval=-1.0)

    def bare(starts: Any, actions: jax.Array) -> Any:
        def step(state: Any, _: None) -> tuple[Any, None]:
            return over(task.simulator.step)(state, actions), None

        return jax.lax.scan(step, over(task.begin)(starts), None, length=task.horizon)[0].q

    agents = keys[..., 0] if len(lead) == 2 else jax.random.key(2)
    params = _over(len(lead) - 1)(task.initial)(agents)
    return {
        "bare brax": (bare, (starts, actions)),
        "returns": (_agents(task.score, len(lead)), (params, starts, keys)),
        "responses": (_agents(task.respond, len(lead)), (params, starts, keys)),
    }


def _over(axes: int) -> Over:
    """Return what lets a function of one episode go over so many leading axes."""

    def over(function: Callable[..., Any]) -> Callable[..., Any]:
        for _ in range(axes):
            function = jax.vmap(function)
        return function

    return over


def _agents(function: Callable[..., Any], axes: int) -> Callable[..., Any]:
    """Return `function` over the episodes of an agent, and over agents if there is that axis."""
    return _over(axes - 1)(jax.vmap(function, (None, 0, 0)))
