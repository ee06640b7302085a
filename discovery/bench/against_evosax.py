"""Measuring agents, beside evosax's own problem for brax environments."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

import envs
from discovery.bench.table import Skipped, Table
from discovery.bench.timing import Call, timed, turns
from discovery.bench.workload import Workload
from discovery.search.cohort import Cohort, Trained
from envs.physics import Ant, Hopper, PhysicsTask
from envs.physics.simulator import foreign
from mpo.train import replicated

SAME = (Hopper, Ant)
"""The tasks that brax has too, under the same name."""

ALONE = "evosax, fitness alone"


def measure(work: Workload) -> Table:
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
