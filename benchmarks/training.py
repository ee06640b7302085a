"""Training agents, beside the bare policy gradient of as many samples."""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

import mpo
from benchmarks.measuring import Call, Row, Table, timed, turns
from benchmarks.workload import Workload, trajectories
from discovery.config import Family
from discovery.search.search import searched
from discovery.search.situation import Situation
from mpo.objectives import Objective
from mpo.train import Descent, Policy, Source, population, replicated, stacked, train
from mpo.train.population import BEST, WAYS, Population

OBJECTIVES: Mapping[str, Callable[[], Objective]] = MappingProxyType(
    {
        "orpo": lambda: mpo.objective("orpo"),
        "mpo of basis potentials": lambda: searched(Family()),
        "mpo of 126 units": lambda: searched(Family(potential="network")),
    }
)


CHUNK: Final = 8
"""Agents at once, where a population is run in chunks."""

_ROUNDS: Final = 2


class Candidate(NamedTuple):
    """What takes its turn: the call, the agents it trains, and the bare gradient to hold it by."""

    call: Call
    agents: int
    bare: str


def rates(work: Workload) -> Table:
    """Time one agent on one device, and many on all, with the bare gradient beside both."""
    found = _candidates(work, 1, work.lone, ("orpo",))
    found |= _candidates(work, work.setting.agents, work.devices, work.setting.objectives)
    timings = turns({name: one.call for name, one in found.items()}, work.setting.rounds)
    rates = {name: one.agents / timings[name].best for name, one in found.items()}
    return Table(
        f"{work.setting.updates} updates of {work.setting.batch} pairs, "
        f"{work.samples:,} samples an agent",
        {
            name: {
                "agents/s": rate,
                "M samples/s": rate * work.samples / 1e6,
                "of bare": rate / rates[found[name].bare],
            }
            for name, rate in rates.items()
        },
        ("the bare gradient has its minibatch before it, no objective and no optimizer",),
    )


def ways(work: Workload) -> Table:
    """Time every way to run a population, on one device and on all: what "auto" should take."""
    meshes = {mesh.size: mesh for mesh in (work.lone, work.devices)}
    orpo, ground = mpo.objective("orpo"), work.situation
    calls, sizes = {}, {}
    for size in work.setting.sizes:
        for count, mesh in meshes.items():
            for way in WAYS:
                name = f"{size:,} agents, {way}, {count} of {work.devices.size} devices"
                program, members, shared = agents(ground, orpo, size, mesh, way)
                calls[name], sizes[name] = timed(program, members, *shared), size
    timings = turns(calls, work.setting.rounds)
    return Table(
        f"ways to run a population of {work.setting.updates} updates each",
        {
            name: {"agents/s": sizes[name] / timing.best, "compiling s": timing.compile}
            for name, timing in timings.items()
        },
        (f"auto takes {BEST.get(jax.default_backend(), 'vmap')}; chunks are of {CHUNK} agents",),
    )


def _candidates(
    work: Workload, size: int, devices: Mesh, objectives: tuple[str, ...]
) -> dict[str, Candidate]:
    """Return the bare gradients of so many policies, and as many agents under each objective."""
    where = f"{size} on {devices.size} of {work.devices.size} devices"
    bare = f"bare policy gradient, {where}"
    found = {bare: Candidate(timed(*bare_gradients(work, size, devices)), size, bare)}
    for name in objectives:
        program, members, shared = agents(work.situation, OBJECTIVES[name](), size, devices)
        found[f"{name}, {where}"] = Candidate(timed(program, members, *shared), size, bare)
    return found


def agents(
    ground: Situation, objective: Objective, size: int, devices: Mesh, way: str = "auto"
) -> tuple[Population, Any, tuple[Source, Descent]]:
    """Return the program that trains so many agents, the agents, and what they share."""
    policy = ground.task.policy

    def one(member: tuple[Objective, jax.Array], source: Source, hyper: Descent) -> Any:
        objective, raw = member
        return train(objective, source, policy, jax.random.wrap_key_data(raw), hyper)

    keys = jax.random.key_data(jax.random.split(jax.random.key(0), size))
    members, shared = replicated(
        ((stacked([objective], each=size), keys), (ground.sources[0], ground.descent)), devices
    )
    return population(one, way, chunk=CHUNK, devices=devices), members, shared


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
    """Return the responses of a minibatch in one row; their steps too, if each stands alone."""
    flat = 3 if jnp.issubdtype(values.dtype, jnp.floating) else 2
    return values.reshape(-1, *values.shape[flat:])


def _negative_log_likelihood(policy: Policy) -> Callable[..., jax.Array]:
    def loss(params: Any, inputs: jax.Array, outputs: jax.Array) -> jax.Array:
        one = partial(policy.log_prob, params)
        steps = one if jnp.issubdtype(inputs.dtype, jnp.floating) else jax.vmap(one)
        return -jnp.mean(steps(inputs, outputs))

    return loss


def growth(work: Workload) -> Table:
    """Time training by population and by rows, and read off what memory its programs have."""
    cases = _populations(work) | _row_counts(work)
    programs = {
        name: agents(ground, mpo.objective("orpo"), size, work.devices)
        for name, (size, ground) in cases.items()
    }
    calls = {
        name: timed(program, members, *shared)
        for name, (program, members, shared) in programs.items()
    }
    timings = turns(calls, _ROUNDS)
    rates = {name: cases[name][0] / timings[name].best for name in cases}
    samples = work.setting.growing * work.samples_per_update
    rows = {
        name: {
            "ms an agent": 1e3 / rates[name],
            "agents/s": rates[name],
            "M samples/s": rates[name] * samples / 1e6,
            **memory(program, members, shared),
        }
        for name, (program, members, shared) in programs.items()
    }
    return Table(
        f"{work.setting.growing} updates of each agent, by population and by rows",
        rows,
        (
            f"memory as XLA plans it, on each of {work.devices.size} devices: the data and the "
            "agents' starts; what training hands back; what it needs in between",
        ),
    )


def memory(program: Population, members: Any, shared: tuple[Any, ...]) -> Row:
    """Return the memory that a population's program has on one device, in MB."""
    size, devices = jax.tree.leaves(members)[0].shape[0], program.devices.size
    first = program.devices.devices.flat[0]
    own = jax.tree.map(lambda leaf: leaf[: -(-size // devices)], members)
    arguments = jax.device_put((own, *shared), first)
    found = program.local.lower(*arguments).compile().memory_analysis()
    return {
        "arguments MB": found.argument_size_in_bytes / 1e6,
        "results MB": found.output_size_in_bytes / 1e6,
        "in between MB": found.temp_size_in_bytes / 1e6,
    }


def _populations(work: Workload) -> dict[str, tuple[int, Situation]]:
    ground = short(work)
    rows = work.setting.rows
    return {f"agents {size:,}, rows {rows:,}": (size, ground) for size in work.setting.populations}


def _row_counts(work: Workload) -> dict[str, tuple[int, Situation]]:
    """Return an agent on each device, with so many rows of random arrays."""
    size = work.devices.size
    ground = short(work)
    if not trajectories(work.task):
        return {}
    return {
        f"agents {size:,}, rows {rows:,}": (
            size,
            dataclasses.replace(ground, sources=(work.source(rows, work.segment),)),
        )
        for rows in work.setting.row_counts
    }


def short(work: Workload) -> Situation:
    """Return the situation with agents of as many updates as growth is measured with."""
    ground = work.situation
    descent = dataclasses.replace(ground.descent, updates=work.setting.growing)
    return dataclasses.replace(ground, descent=descent)
