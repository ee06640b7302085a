"""What training costs in time and memory as the population grows, and as the data do."""

import dataclasses
from typing import Any, Final

import jax

import mpo
from discovery.bench.table import Row, Table
from discovery.bench.timing import timed, turns
from discovery.bench.training import agents
from discovery.bench.workload import Workload, trajectories
from discovery.search.situation import Situation
from mpo.train.population import Population

_UPDATES: Final = 20  # few, since the largest population is large
_ROUNDS: Final = 2


def measure(work: Workload) -> Table:
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
    rows = {
        name: {
            "ms an agent": 1e3 * timings[name].best / cases[name][0],
            **memory(program, members, shared),
        }
        for name, (program, members, shared) in programs.items()
    }
    return Table(
        f"{_UPDATES} updates of each agent, by population and by rows",
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
    ground = short(work.situation)
    rows = work.setting.rows
    return {f"agents {size:,}, rows {rows:,}": (size, ground) for size in work.setting.populations}


def _row_counts(work: Workload) -> dict[str, tuple[int, Situation]]:
    """Return an agent on each device, with so many rows of random arrays."""
    size = work.devices.size
    ground = short(work.situation)
    if not trajectories(work.task):
        return {}
    return {
        f"agents {size:,}, rows {rows:,}": (
            size,
            dataclasses.replace(ground, sources=(work.source(rows, work.segment),)),
        )
        for rows in work.setting.row_counts
    }


def short(ground: Situation) -> Situation:
    """Return the situation with agents of fewer updates."""
    return dataclasses.replace(
        ground, descent=dataclasses.replace(ground.descent, updates=_UPDATES)
    )
