"""Acting, beside the bare physics of as many steps, and beside evosax's problem for brax."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

import envs
from benchmarks.measuring import Call, Skipped, Table, compare, timed, turns
from benchmarks.workload import Workload
from discovery.search.cohort import Cohort, Trained
from envs.foreign import foreign
from envs.physics import Ant, Hopper, PhysicsTask
from mpo.train import replicated

Over = Callable[[Callable[..., Any]], Callable[..., Any]]


def rollouts(work: Workload) -> Table:
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


SAME = (Hopper, Ant)
"""The tasks that brax has too, under the same name."""

ALONE = "evosax, fitness alone"


def beside_evosax(work: Workload) -> Table:
    """Measure as many agents of one architecture in as many episodes, here and there, in turns."""
    task, steps = work.task, work.setting.steps
    if not isinstance(task, SAME):
        raise Skipped(f"brax has no environment {task.name!r}")
    agents, episodes = work.setting.measured
    calls = _theirs(task, agents, episodes, steps) | {
        f"here, {devices.size} of {work.devices.size} devices": _ours(work, devices)
        for devices in {mesh.size: mesh for mesh in (work.lone, work.devices)}.values()
    }
    total = agents * episodes * steps
    timings = turns(calls, work.setting.rounds)
    return Table(
        f"{agents} agents measured in {episodes} episodes of {steps} steps each",
        {
            name: {
                "env steps/s": total / timing.best,
                "of evosax": timings[ALONE].best / timing.best,
            }
            for name, timing in timings.items()
        },
        (
            "as it is called, evosax hands back the state of every step; the other row keeps "
            "only what a search needs, and lets XLA leave the rest out",
        ),
    )


def _ours(work: Workload, devices: Mesh) -> Call:
    """Return the call that measures agents as a discovery does."""
    agents, episodes = work.setting.measured
    task = envs.task(work.setting.task, horizon=work.setting.steps)
    ground = dataclasses.replace(work.situation, task=task, devices=devices)
    keys = jax.random.split(jax.random.key(0), agents)
    trained = Trained(
        params=jax.vmap(task.initial)(keys),
        finite=jnp.ones(agents, bool),
        key=jax.random.key_data(keys),
    )
    return timed(Cohort(ground, episodes).score, replicated(trained, devices))


def _theirs(task: PhysicsTask, agents: int, episodes: int, steps: int) -> dict[str, Call]:
    """Return the calls that measure agents as evosax does, with the same policy and physics."""
    with foreign():
        try:
            from evosax.problems import MLP, BraxProblem

            problem = BraxProblem(
                task.name,
                MLP((*task.policy.hidden, task.policy.action_size), output_fn=_drawn),
                episode_length=steps,
                num_rollouts=episodes,
                use_normalize_obs=False,
                env_kwargs={"backend": task.backend},
            )
            keys = jax.random.split(jax.random.key(0), agents)
            solutions, state = jax.vmap(problem.sample)(keys), problem.init(keys[0])
        except Exception as error:  # whatever other versions of evosax, brax and jax raise
            raise Skipped(f"evosax's BraxProblem does not run here: {error!r}") from error

    def evaluated(key: jax.Array, solutions: Any, state: Any) -> Any:
        with foreign():
            return problem.eval(key, solutions, state)

    def fitness(key: jax.Array, solutions: Any, state: Any) -> Any:
        return evaluated(key, solutions, state)[0]

    arguments = (keys[0], solutions, state)
    return {
        "evosax, as it is called": timed(jax.jit(evaluated), *arguments),
        ALONE: timed(jax.jit(fitness), *arguments),
    }


def _drawn(mean: jax.Array, key: jax.Array) -> jax.Array:
    """Return an action around its mean, as the Gaussian policies of `mpo` draw it."""
    return mean + jax.random.normal(key, mean.shape, mean.dtype)
