"""Training agents, beside the bare policy gradient of as many samples."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

import mpo
from discovery.bench.table import Table
from discovery.bench.timing import Call, timed, turns
from discovery.bench.workload import Workload
from discovery.cohort import repeated
from discovery.config import Family
from discovery.search import searched
from discovery.situation import Situation
from mpo.objectives import Objective
from mpo.train import Hyper, Policy, Source, population, replicated, train
from mpo.train.population import Population

OBJECTIVES: dict[str, Callable[[], Objective]] = {
    "orpo": lambda: mpo.objective("orpo"),
    "mpo of basis potentials": lambda: searched(Family()),
    "mpo of 126 units": lambda: searched(Family(potential="network")),
}


def measure(work: Workload) -> Table:
    """Time one agent on one device, and many on all, with the bare gradient beside both."""
    many, everywhere = work.setting.agents, work.devices.size
    calls: dict[str, Call] = {}
    sizes: dict[str, int] = {}
    bares: dict[str, str] = {}
    for size, devices in ((1, work.lone), (many, work.devices)):
        where = f"{size} x, {devices.size} of {everywhere} devices"
        bare = f"bare policy gradient, {where}"
        calls[bare] = timed(*bare_gradients(work, size, devices))
        for name, objective in OBJECTIVES.items():
            program, members, shared = agents(work.situation, objective(), size, devices)
            calls[f"{name}, {where}"] = timed(program, members, *shared)
        new = calls.keys() - sizes.keys()
        sizes |= dict.fromkeys(new, size)
        bares |= dict.fromkeys(new, bare)
    timings = turns(calls, work.setting.rounds)
    rows = {}
    for name, timing in timings.items():
        size, bare = sizes[name], timings[bares[name]].best
        rows[name] = {
            "agents/s": size / timing.best,
            "M samples/s": size * work.samples / timing.best / 1e6,
            "of bare": bare / timing.best,
        }
    return Table(
        f"training: {work.setting.updates} updates of {work.setting.batch} pairs, "
        f"{work.samples:,} samples an agent",
        rows,
        ("the bare gradient has its minibatch before it, no objective and no optimizer",),
    )


def agents(
    ground: Situation, objective: Objective, size: int, devices: Mesh
) -> tuple[Population, Any, tuple[Source, Hyper]]:
    """Return the program that trains so many agents, the agents, and what they share."""
    policy = ground.task.policy

    def one(member: tuple[Objective, jax.Array], source: Source, hyper: Hyper) -> Any:
        objective, raw = member
        return train(objective, source, policy, jax.random.wrap_key_data(raw), hyper)

    keys = jax.random.key_data(jax.random.split(jax.random.key(0), size))
    members, shared = replicated(
        ((repeated(objective, size), keys), (ground.sources[0], ground.hyper)), devices
    )
    return population(one, devices=devices), members, shared


def bare_gradients(work: Workload, size: int, devices: Mesh) -> tuple[Population, Any]:
    """Return the program that only takes gradients of so many policies, and its argument."""
    source = work.situation.sources[0]
    batch = source.batch(jnp.arange(work.setting.batch, dtype=jnp.int32))
    inputs, outputs = _as_seen(batch.inputs), _as_seen(batch.outputs)
    loss = _negative_log_likelihood(work.task.policy)

    def one(member: tuple[Any, jax.Array, jax.Array]) -> Any:
        params, inputs, outputs = member

        def step(params: Any, _: None) -> tuple[Any, None]:
            gradient = jax.grad(loss)(params, inputs, outputs)
            return jax.tree.map(lambda p, g: p - 1e-6 * g, params, gradient), None

        return jax.lax.scan(step, params, None, length=work.setting.updates)[0]

    start = work.task.policy.init(jax.random.key(0))
    members = jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf, (size, *leaf.shape)), (start, inputs, outputs)
    )
    return population(one, devices=devices), replicated(members, devices)


def _as_seen(values: jax.Array) -> jax.Array:
    """Return the responses of a minibatch one after another; their steps too, if they stand alone."""
    flat = 3 if jnp.issubdtype(values.dtype, jnp.floating) else 2
    return values.reshape(-1, *values.shape[flat:])


def _negative_log_likelihood(policy: Policy) -> Callable[..., jax.Array]:
    def loss(params: Any, inputs: jax.Array, outputs: jax.Array) -> jax.Array:
        one = partial(policy.log_prob, params)
        steps = one if jnp.issubdtype(inputs.dtype, jnp.floating) else jax.vmap(one)
        return -jnp.mean(steps(inputs, outputs))

    return loss
