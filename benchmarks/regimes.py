"""Writing inside of a training, beside bare responses of as many steps; and the bandit's rate."""

import math
from typing import Any

import jax

import envs
import mpo
from benchmarks.measuring import Row, Table, compare
from benchmarks.workload import Workload
from mpo.train import Algorithm, Regime, hyper, train

PROMPTS, RESPONSES = 16, 4
BANDIT = {"prompts": 10, "responses": 10, "reuse": 10, "fresh": False}
DRAWS = 100
WRITING = "rounds that write, and next to no update"
BARE = "responses alone"


def rates(work: Workload) -> Table:
    """Time rounds of writing in a training on one device, and a whole training on the bandit."""
    steps = work.setting.steps
    task = envs.task(work.setting.task, horizon=steps)
    rounds = 4
    regime = Regime(task=task, prompts=PROMPTS, responses=RESPONSES)
    whole = math.prod((rounds, PROMPTS, RESPONSES, steps))
    algorithm = Algorithm(
        objective=mpo.objective("sft", length_normalise=True),
        renewal=regime,
        descent=hyper(updates=rounds, batch=PROMPTS),
    )
    key = jax.random.key(0)
    params = task.initial(key)

    def written(params: Any, key: Any) -> Any:
        return train(algorithm, None, task.policy, key, start=params)[0]

    def alone(params: Any, key: Any) -> Any:
        def once(_: None, key: Any) -> tuple[None, Any]:
            start_key, own = jax.random.split(key)
            starts = jax.vmap(task.start)(jax.random.split(start_key, PROMPTS))
            keys = jax.random.split(own, (PROMPTS, RESPONSES))
            each = jax.vmap(jax.vmap(task.respond, (None, None, 0)), (None, 0, 0))
            found = each(params, starts, keys)
            return None, (found.inputs, found.outputs, found.total, found.mask)

        return jax.lax.scan(once, None, jax.random.split(key, rounds))[1]

    timings = compare(
        {WRITING: (written, (params, key)), BARE: (alone, (params, key))}, work.setting.rounds
    )
    rows: dict[str, Row] = {
        f"{name}, {PROMPTS} x {RESPONSES} of {steps} steps": {
            "env steps/s": whole / timing.best,
            "of bare": timings[BARE].best / timing.best,
        }
        for name, timing in timings.items()
    }
    return Table(
        f"writing on {task.name}, one device",
        rows | {f"bandit, {DRAWS} draws of 100 responses, 10 updates each": _bandit(work)},
        ("a round also scores what it wrote under the writer, the reference and the agent",),
    )


def _bandit(work: Workload) -> Row:
    task = envs.task("token_bandit", architecture="positions")
    algorithm = Algorithm(
        objective=mpo.objective("ppo"),
        renewal=Regime(task=task, scope="batch", **BANDIT),  # type: ignore[arg-type]
        descent=hyper(updates=10 * DRAWS, batch=10, learning_rate=0.03),
    )

    def trained(params: Any, key: Any) -> Any:
        return train(algorithm, None, task.policy, key, start=params)[0]

    arguments = (task.agent("reference"), jax.random.key(0))
    timing = compare({"bandit": (trained, arguments)}, work.setting.rounds)["bandit"]
    return {"agents/s": 1 / timing.best, "seconds": timing.best}
