"""Where the gain of an iteration comes from, by last reward, and what regression to the mean gives.

python docs/optune.py        # OPTune's Figure 2, with its null
python docs/optune.py time   # its Table 1: seconds of writing, grading and training of an iteration

The prompts of a pool are halved by the reward of their better response. Then an agent is trained on
the pool, and answers all prompts anew: the share of the gain that the lower half has is OPTune's
motivation. The null is the same with no training between: the same agent, drawn twice.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import discovery
import envs
from discovery import algorithms
from discovery.evidence.statistics import estimate, number
from discovery.search import situation
from mpo.train import Algorithm, hyper, train
from mpo.train.regime import Regime

OUT = Path(__file__).resolve().parent / "results" / "optune-figure-2" / "results.json"
SEEDS, PROMPTS, UPDATES = 16, 512, 200
REWARDS = ("off_support", "by_context")


def measure() -> None:
    """Train and draw, and write the gain of either half from every seed."""
    discovery.start()
    held: dict[str, Any] = {}
    for reward in REWARDS:
        config, objective = algorithms.described(
            "optune", "token_bandit", {"task.settings.reward": reward}
        )
        task = envs.task("token_bandit", **config.task.settings)
        base = situation.algorithm(config, objective)
        regime = base.renewal
        assert isinstance(regime, Regime)
        settings = {**config.training.hyper, "updates": UPDATES}
        algorithm = Algorithm(objective=objective, renewal=regime, descent=hyper(**settings))
        start = task.agent("reference")

        def gains(key: Any, task=task, algorithm=algorithm, start=start) -> Any:
            first, second, learn, where = jax.random.split(key, 4)
            starts = jax.vmap(task.start)(jax.random.split(where, PROMPTS))

            def best(params: Any, key: Any) -> Any:
                keys = jax.random.split(key, (PROMPTS, 2))
                each = jax.vmap(jax.vmap(task.score, (None, None, 0)), (None, 0, 0))
                return jnp.max(each(params, starts, keys), axis=1)

            before = best(start, first)
            trained = train(algorithm, None, task.policy, learn, start=start)[0]
            low = jnp.argsort(jnp.argsort(before)) < PROMPTS // 2
            found = []
            for params in (trained, start):
                gain = best(params, second) - before
                found += [jnp.mean(jnp.where(low, gain, 0)), jnp.mean(jnp.where(low, 0, gain))]
            return jnp.stack(found)

        keys = jax.random.split(jax.random.key(0), SEEDS)
        values = np.asarray(jax.jit(jax.vmap(gains))(keys))
        names = ("lower half", "upper half", "lower half, no training", "upper half, no training")
        held[reward] = {
            name: [float(f"{value:.5g}") for value in values[:, at]]
            for at, name in enumerate(names)
        }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(held, indent=1) + "\n")


def said() -> str:
    """Return the table of the gains."""
    held = json.loads(OUT.read_text())
    lines = [
        "| reward | lower half | upper half | lower half, drawn twice | upper half, drawn twice |",
        "| --- | --- | --- | --- | --- |",
    ]
    for reward, rows in held.items():
        cells = [str(estimate(np.array(values)[None, None])) for values in rows.values()]
        lines.append(f"| {reward.replace('_', ' ')} | {' | '.join(cells)} |")
    return "\n".join(lines)


TIMES = OUT.parents[1] / "optune-table-1" / "results.json"
TASKS = ("token_bandit", "hopper", "language")
PARTS = ("writing", "grading", "training")
GROUPS, TRIES = 64, 5


def time_parts() -> None:
    """Time an iteration of iterative DPO: two responses to each prompt, one epoch on the pairs."""
    held: dict[str, Any] = {"prompts": GROUPS, "seconds": {}}
    for name in TASKS:
        held["seconds"][name] = _parts(name)
        print(name, held["seconds"][name], flush=True)
    TIMES.parent.mkdir(parents=True, exist_ok=True)
    TIMES.write_text(json.dumps(held, indent=1) + "\n")


def _parts(name: str) -> dict[str, list[float]]:
    config, objective = algorithms.described(
        "optune_dpo", name, {"training.regime.grader": "learnt"}
    )
    ground = discovery.prepare(config)
    task, agent, grader = ground.task, ground.start, ground.sources[0].grader
    hypers = {**config.training.hyper, "batch": 16, "updates": GROUPS // 16}
    algorithm = Algorithm(objective=objective, descent=hyper(**hypers))
    regime = Regime(task=task, prompts=GROUPS, responses=2, pairing="ends")

    @jax.jit
    def written(key: Any) -> Any:
        blank = regime.init(None, task.policy, agent, key)
        return regime(None, task.policy, agent, blank, key, jnp.int32(0))[0]

    pool = written(jax.random.key(1))
    groups = pool.source.batch(jnp.arange(GROUPS))
    starts = jax.vmap(task.start)(jax.random.split(jax.random.key(2), GROUPS))
    both = jax.vmap(jax.vmap(task.respond, (None, None, 0)), (None, 0, 0))
    # All that a part reads is an argument: what is known when a program is compiled costs nothing.
    parts: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
        "writing": (lambda key, agent: both(agent, starts, _keys(key)), (agent,)),
        "grading": (lambda key, grader, groups: grader.scores(groups), (grader, groups)),
        "training": (
            lambda key, pool, agent: train(algorithm, pool, task.policy, key, start=agent),
            (pool, agent),
        ),
    }
    return {part: _seconds(run, *arguments) for part, (run, arguments) in parts.items()}


def _keys(key: Any) -> Any:
    return jax.random.split(key, (GROUPS, 2))


def _seconds(run: Callable[..., Any], *arguments: Any) -> list[float]:
    """Return the seconds of a compiled program, some times over."""
    compiled, found = jax.jit(run), []
    jax.block_until_ready(compiled(jax.random.key(0), *arguments))
    for seed in range(TRIES):
        begun = time.perf_counter()
        jax.block_until_ready(compiled(jax.random.key(seed), *arguments))
        found.append(float(f"{time.perf_counter() - begun:.4g}"))
    return found


def said_of_time() -> str:
    """Return the table of where time goes."""
    held = json.loads(TIMES.read_text())
    lines = ["| task | seconds an iteration | " + " | ".join(PARTS) + " |"]
    lines.append("| --- | --- |" + " --- |" * len(PARTS))
    for name, parts in held["seconds"].items():
        medians = [float(np.median(parts[part])) for part in PARTS]
        cells = [f"{value / sum(medians):.1%}" for value in medians]
        lines.append(f"| {name} | {number(sum(medians))} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    if sys.argv[1:] == ["time"]:
        time_parts()
        print(said_of_time())
    else:
        measure()
        print(said())
