"""What training an agent costs beside its bare policy gradient, and a population beside an agent.

python -m benchmarks.inner_loop [--json] [--updates N] [--rounds N] [--agents N …]

On CPU the process has one forced host device per core, and the populations run on one of
them and on all of them.
"""

import argparse
import json
import os

os.environ.setdefault("XLA_FLAGS", f"--xla_force_host_platform_device_count={os.cpu_count()}")

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

import mpo
from benchmarks.timing import Timing, compare, machine
from envs import data
from mpo.policies import GaussianPolicy
from mpo.train import Descent, Source, hyper, population, replicated, train
from mpo.train.population import AXIS

ROWS, STEPS, SEGMENT, PAIRS = 256, 1000, 50, 32
OBSERVATION, ACTION = 11, 3  # those of Hopper
POLICY = GaussianPolicy(OBSERVATION, ACTION)
NAMES = ("sft", "orpo", "dpo", "mpo")
WAYS = ("map", "vmap", "chunks")


def _source() -> Source:
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((ROWS, 2, STEPS, OBSERVATION), np.float32)
    outputs = rng.standard_normal((ROWS, 2, STEPS, ACTION), np.float32)
    length = rng.integers(SEGMENT, STEPS + 1, (ROWS, 2))
    return data.from_arrays(inputs, outputs, length=length).view(SEGMENT)


def _bare(updates: int) -> Callable[[Any], Any]:
    """Return gradient steps on one minibatch that is there already, as many samples in all."""
    samples = PAIRS * 2 * SEGMENT
    observation = jax.random.normal(jax.random.key(1), (samples, OBSERVATION))
    action = jax.random.normal(jax.random.key(2), (samples, ACTION))
    gradient = jax.grad(lambda params: jnp.mean(POLICY.log_prob(params, observation, action)))

    def step(params: Any, _: None) -> tuple[Any, None]:
        return jax.tree.map(lambda p, g: p + 1e-6 * g, params, gradient(params)), None

    return lambda params: jax.lax.scan(step, params, None, length=updates)[0]


def _agent(name: str, start: Any) -> Callable[..., Any]:
    def one(key: jax.Array, source: Source, settings: Descent) -> Any:
        return train(mpo.objective(name), source, POLICY, key, settings, start=start)

    return one


def measure(updates: int, rounds: int, agents: Sequence[int]) -> dict[str, Timing]:
    """Time the bare gradient, single agents, and populations on one device and on all."""
    source, settings = _source(), hyper(batch=PAIRS, updates=updates, max_gradient_norm=1.0)
    start = POLICY.init(jax.random.key(0))
    candidates: dict[str, Any] = {"bare policy gradient": (_bare(updates), (start,))}
    for name in NAMES:
        candidates[f"one agent, {name}"] = (
            _agent(name, start),
            (jax.random.key(1), source, settings),
        )
    for count in sorted({1, len(jax.local_devices())}):
        mesh = Mesh(np.asarray(jax.local_devices()[:count]), (AXIS,))
        held = replicated((source, settings), mesh)
        for size in agents:
            keys = replicated(jax.random.split(jax.random.key(1), size), mesh)
            for how in WAYS:
                run = population(_agent("orpo", start), how, devices=mesh)
                candidates[f"{size} agents, {how}, {count} device(s)"] = (run, (keys, *held))
    return compare(candidates, rounds)


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--updates", type=int, default=100, help="updates of an agent")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of the measurement")
    parser.add_argument("--agents", type=int, nargs="*", default=[1, 8, 64], help="populations")
    asked = parser.parse_args()
    timings = measure(asked.updates, asked.rounds, asked.agents)
    samples = asked.updates * PAIRS * 2 * SEGMENT
    bare, single = timings["bare policy gradient"].best, timings["one agent, orpo"].best
    rows = {}
    for name, timing in timings.items():
        size = int(name.split()[0]) if name[0].isdigit() else 1
        rows[name] = {
            "M samples/s": size * samples / timing.best / 1e6,
            "median": size * samples / timing.median / 1e6,
            "% of bare": 100 * size * bare / timing.best,
            "cost / agents": timing.best / (size * single),
            "compile s": timing.compile,
        }
    if asked.json:
        print(json.dumps({"machine": machine(), "rows": rows}, indent=2))
        return
    print(
        f"{asked.updates} updates of {PAIRS} pairs of segments of {SEGMENT} steps, "
        f"fastest (and median) of {asked.rounds} rounds; {machine()}"
    )
    print(f"{'':32s}" + "".join(f"{column:>15s}" for column in next(iter(rows.values()))))
    for name, row in rows.items():
        print(f"{name:32s}" + "".join(f"{value:15.3g}" for value in row.values()))


if __name__ == "__main__":
    main()
