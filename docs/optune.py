"""Where the gain of an iteration comes from, by last reward, and what regression to the mean gives.

python docs/optune.py        # OPTune's Figure 2, with its null

The prompts of a pool are halved by the reward of their better response. Then an agent is trained on
the pool, and answers all prompts anew: the share of the gain that the lower half has is OPTune's
motivation. The null is the same with no training between: the same agent, drawn twice.
"""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import discovery
import envs
from discovery import algorithms
from discovery.evidence.statistics import estimate
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


if __name__ == "__main__":
    measure()
    print(said())
