"""Training agents, beside the bare policy gradient of as many samples."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

import mpo
from discovery.bench.table import Table
from discovery.bench.timing import Call, timed, turns
from discovery.bench.workload import Workload
from discovery.config import Family
from discovery.search.search import searched
from discovery.search.situation import Situation
from mpo.objectives import Objective
from mpo.train import Descent, Policy, Source, population, replicated, stacked, train
from mpo.train.population import Population

OBJECTIVES: Mapping[str, Callable[[], Objective]] = MappingProxyType(
    {
        "orpo": lambda: mpo.objective("orpo"),
        "mpo of basis potentials": lambda: searched(Family()),
        "mpo of 126 units": lambda: searched(Family(potential="network")),
    }
)


class Candidate(NamedTuple):
    """What takes its turn: the call, the agents it trains, and the bare gradient to hold it by."""

    call: Call
    agents: int
    bare: str


def measure(work: Workload) -> Table:
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
    ground: Situation, objective: Objective, size: int, devices: Mesh
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
    """Return the responses of a minibatch in one row; their steps too, if each stands alone."""
    flat = 3 if jnp.issubdtype(values.dtype, jnp.floating) else 2
    return values.reshape(-1, *values.shape[flat:])


def _negative_log_likelihood(policy: Policy) -> Callable[..., jax.Array]:
    def loss(params: Any, inputs: jax.Array, outputs: jax.Array) -> jax.Array:
        one = partial(policy.log_prob, params)
        steps = one if jnp.issubdtype(inputs.dtype, jnp.floating) else jax.vmap(one)
        return -jnp.mean(steps(inputs, outputs))

    return loss
