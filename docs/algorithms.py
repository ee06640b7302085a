"""Tune and measure the algorithms that have names, on the bandit and on Hopper.

python docs/algorithms.py tune            # rates and settings, on seeds from 1000 on
python docs/algorithms.py                 # what each earns, on seeds 0 to 4; writes the table
python docs/algorithms.py hopper-tune     # the same for Hopper, with data and agents for tuning
python docs/algorithms.py hopper

What was tried, and what every seed earned, is in docs/results/algorithms; `said()` and
`said_of_hopper()` are the tables of docs/train.md. Of the bandit, returns and divergences are
exact.
"""

import itertools
import json
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import discovery
from discovery import algorithms
from discovery.evidence import stage
from discovery.evidence.statistics import estimate, number
from discovery.host.processes import all_devices
from discovery.search.cohort import Cohort
from discovery.search.streams import Purpose
from mpo import paths
from mpo.train import stacked

FOLDER = Path(__file__).resolve().parent / "results" / "algorithms"
TASK, REWARDS = "token_bandit", ("off_support", "aligned")
TUNING, SEEDS = range(1000, 1003), range(5)
RATES = (0.3, 0.1, 0.03, 0.01, 0.003)
RATE = "descent.learning_rate"
BETAS = (0.003, 0.01, 0.03, 0.1)
ALSO: dict[str, dict[str, tuple[float, ...]]] = {
    "on_policy_dpo": {"objective.beta": (0.03, 0.1, 0.3)},
    "offline_dpo": {"objective.beta": (0.03, 0.1, 0.3)},
    "rwr": {"renewal.temperature": (0.03, 0.1, 0.3)},
    "rwr_offline": {"renewal.temperature": (0.03, 0.1, 0.3)},
    "best_of_n_neg": {"objective.beta": (0.03, 0.1, 0.3, 1.0)},
    "grpo": {"objective.beta": (0.0, 0.001, 0.01)},
    "online_rpo_bwd": {"objective.beta": BETAS, "objective.eta": (3.0, 10.0, 30.0)},
    "online_rpo_sqloo": {"objective.beta": BETAS, "objective.eta": (3.0, 10.0, 30.0)},
    "online_rpo_fwd": {"objective.beta": BETAS, "objective.eta": (3.0, 10.0, 30.0)},
    "online_rpo_mirror": {"objective.beta": BETAS, "objective.eta": (3.0, 10.0, 30.0)},
    "iterative_rpo_bwd": {"objective.beta": BETAS, "objective.eta": (3.0, 10.0, 30.0)},
    "iterative_rpo_sqloo": {"objective.beta": BETAS, "objective.eta": (3.0, 10.0, 30.0)},
    "optune": {"objective.beta": (0.03, 0.1, 0.3)},
    "optune_dpo": {"objective.beta": (0.03, 0.1, 0.3)},
    "learnt_rwr": {"renewal.temperature": (0.1, 0.3, 1.0)},
    "learnt_best_of_n": {"renewal.temperature": (0.1, 0.2, 0.4)},
    "mezo": {"descent.slope.epsilon": (0.3, 1.0, 3.0)},
    "zopro": {"descent.slope.epsilon": (0.3, 1.0, 3.0)},
}
"""Settings that are tuned beside the rate."""


def earned(
    name: str, reward: str, points: list[dict[str, float]], seeds: range, changes: dict[str, Any]
) -> dict[str, Any]:
    """Train an agent at every point from every seed; return what each earns, [points, seeds]."""
    config, objective = algorithms.described(
        name, TASK, {"task.settings.reward": reward, **changes}
    )
    ground = stage.prepare(config, Purpose.EVALUATION, all_devices())
    base = ground.algorithm(objective)
    each = stacked([paths.put_all(base, point) for point in points], each=len(seeds))
    keys = jax.vmap(jax.random.fold_in, (None, 0))(
        ground.key, jnp.asarray([*seeds] * len(points), jnp.uint32)
    )
    cohort = Cohort(ground, 1)
    begun = time.monotonic()
    found = cohort.train(each, keys)
    jax.block_until_ready(found.params)
    seconds = time.monotonic() - begun
    task: Any = ground.task
    shape = (len(points), len(seeds))
    exact = {
        "return": jax.vmap(task.expected_return)(found.params),
        "kl": jax.vmap(task.divergence)(found.params),
    }
    values = {n: np.asarray(v, float).reshape(shape).round(5).tolist() for n, v in exact.items()}
    return values | {"seconds": round(seconds / len(keys), 3)}


def tune(names: list[str]) -> None:
    """Try every point of every algorithm; keep all, and say which is best on both rewards."""
    path = FOLDER / "tuned.json"
    held = json.loads(path.read_text()) if path.exists() else {}
    for name in names:
        grid = {RATE: RATES, **ALSO.get(name, {})}
        points = [dict(zip(grid, each, strict=True)) for each in itertools.product(*grid.values())]
        found = {reward: earned(name, reward, points, TUNING, {}) for reward in REWARDS}
        worth = np.mean([np.mean(one["return"], axis=1) for one in found.values()], axis=0)
        best = points[int(np.argmax(worth))]
        held[name] = {
            "best": best,
            "points": points,
            "returns": {reward: one["return"] for reward, one in found.items()},
        }
        print(
            name,
            best,
            [round(float(np.mean(o["return"][int(np.argmax(worth))])), 3) for o in found.values()],
            flush=True,
        )
        FOLDER.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(held) + "\n")


def measure(names: list[str]) -> None:
    """Measure every algorithm as it ships, on seeds that tuned nothing."""
    path = FOLDER / "bandit.json"
    held = json.loads(path.read_text()) if path.exists() else {}
    for name in names:
        held[name] = {}
        for reward in REWARDS:
            _, objective = algorithms.described(name, TASK)
            one = earned(name, reward, [{}], SEEDS, {})
            again = earned(name, reward, [{}], SEEDS, {})  # without compiling
            config, _ = algorithms.described(name, TASK, {"task.settings.reward": reward})
            record = algorithms.carry_out(config, objective, 0).record
            held[name][reward] = {
                "return": one["return"][0],
                "kl": one["kl"][0],
                "seconds": again["seconds"],
                "samples": record["samples"],
                "updates": record["updates"],
            }
            print(name, reward, held[name][reward], flush=True)
        path.write_text(json.dumps(held, indent=1) + "\n")
        jax.clear_caches()


def said() -> str:
    """Return the table of the algorithms."""
    held = json.loads((FOLDER / "bandit.json").read_text())
    lines = [
        "| algorithm | R1 [95 %] | KL, nats | R2 [95 %] | KL, nats | responses | seconds |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, rows in held.items():
        cells = []
        for reward in REWARDS:
            own = rows[reward]
            cells += [
                str(estimate(np.array(own["return"])[None, None])),
                number(np.mean(own["kl"])),
            ]
        one = rows["off_support"]
        lines.append(
            f"| `{name}` | {' | '.join(cells)} | {one['samples']:,} | {one['seconds']:.2f} |"
        )
    return "\n".join(lines)


# --- Hopper ---------------------------------------------------------------------------------

HOPPER_RATES, HOPPER_SEEDS = (3e-3, 1e-3, 3e-4, 1e-4), range(4)
QUIET = {"data.spread": -1.1}
"""The column "scarce, quiet" of the leaderboard, for algorithms that learn from data."""
ON_DATA = ("learnt_rwr", "learnt_best_of_n")
LEFT_OUT = ("online_rpo_fwd", "online_rpo_mirror", "pref_ft", "rwr_offline")
FORWARD = ("mezo", "zopro")
"""Those that are not given gradients: their rates are others."""


def on_hopper(name: str, points: list[dict[str, float]], purpose: Purpose, seeds: range) -> Any:
    """Return what agents earn by sampled and by mean action, [points, seeds], and what it took."""
    config, objective = algorithms.described(name, "hopper", QUIET if name in ON_DATA else {})
    ground = stage.prepare(config, purpose, all_devices())
    base = ground.algorithm(objective)
    each = stacked([paths.put_all(base, point) for point in points], each=len(seeds))
    keys = jax.vmap(jax.random.fold_in, (None, 0))(
        ground.key, jnp.asarray([*seeds] * len(points), jnp.uint32)
    )
    cohort, begun = Cohort(ground, 16), time.monotonic()
    found = cohort.train(each, keys)
    jax.block_until_ready(found.params)
    seconds = time.monotonic() - begun
    shape = (len(points), len(seeds))
    values = {
        action: cohort.score(found, action).reshape(shape).round(2).tolist()
        for action in ("sampled", "mean")
    }
    return values | {"seconds": round(seconds / len(keys), 2)}


def tune_hopper(names: list[str]) -> None:
    """Try rates of every algorithm on Hopper, and keep all."""
    path = FOLDER / "hopper-tuned.json"
    held = json.loads(path.read_text()) if path.exists() else {}
    for name in names:
        if name in held:
            continue
        factor = 10.0 if name in FORWARD else 1.0
        points = [{RATE: factor * rate} for rate in HOPPER_RATES]
        found = on_hopper(name, points, Purpose.TUNING, range(2))
        best = int(np.argmax(np.mean(found["sampled"], axis=1)))
        held[name] = {"best": points[best], "points": points, **found}
        print(name, points[best], np.mean(found["sampled"], axis=1), flush=True)
        FOLDER.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(held) + "\n")


def measure_hopper(names: list[str]) -> None:
    """Measure every algorithm on Hopper as it ships."""
    path = FOLDER / "hopper.json"
    held = json.loads(path.read_text()) if path.exists() else {}
    for name in names:
        if name in held:
            continue
        found = on_hopper(name, [{}], Purpose.EVALUATION, HOPPER_SEEDS)
        held[name] = {n: v[0] if isinstance(v, list) else v for n, v in found.items()}
        print(name, held[name], flush=True)
        path.write_text(json.dumps(held, indent=1) + "\n")
        jax.clear_caches()  # a process may map no more than so many pieces of memory


def said_of_hopper() -> str:
    """Return the table of the algorithms on Hopper."""
    held = json.loads((FOLDER / "hopper.json").read_text())
    lines = [
        "| algorithm | sampled [95 %] | by the mean action [95 %] | seconds an agent |",
        "| --- | --- | --- | --- |",
    ]
    for name, own in held.items():
        both = [str(estimate(np.array(own[one])[None, None])) for one in ("sampled", "mean")]
        lines.append(f"| `{name}` | {both[0]} | {both[1]} | {own['seconds']:.1f} |")
    return "\n".join(lines)


SEARCHES = {
    "quick-on-policy": "bandit-on-policy",
    "quick-regime": "bandit-regime-equal",
    "quick-regime --set training.regime.budget=1920": "bandit-regime",
    "quick-zeroth-order": "bandit-zeroth-order",
    "hopper-small-iterative": "hopper-iterative",
}


def said_of_searches() -> str:
    """Return the table of searches under a regime, against the best loss that is made by hand."""
    lines = [
        "| preset | found [95 %] | best by hand, tuned [95 %] | difference, paired [95 %] |",
        "| --- | --- | --- | --- |",
    ]
    for preset, folder in SEARCHES.items():
        path = FOLDER.parent / "searches" / folder / "results.json"
        returns = {n: np.array(v) for n, v in json.loads(path.read_text())["returns"].items()}
        found = returns.pop("found")
        means = {name: float(np.mean(own)) for name, own in returns.items()}
        best = max(means, key=means.__getitem__)
        cells = [estimate(v[None, None]) for v in (found, returns[best], found - returns[best])]
        lines.append(f"| `{preset}` | {cells[0]} | {best} {cells[1]} | {cells[2]} |")
    return "\n".join(lines)


def said_of_language() -> str:
    """Return the table of the search on the small language: what it found, and losses by hand."""
    path = FOLDER.parent / "searches" / "language-shuffled" / "results.json"
    held = json.loads(path.read_text())
    lines = [
        "| loss | reward [95 %] | win rate | accuracy | KL | length |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, returns in held["returns"].items():
        own = [number(np.mean(held["measured"][m][name])) for m in held["measured"]]
        reward = estimate(np.array(returns)[None, None])
        lines.append(f"| {name} | {reward} | {' | '.join(own)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    discovery.start()
    asked, names = sys.argv[1:2], sys.argv[2:]
    known = [*algorithms.names()]
    physical = [name for name in known if name not in LEFT_OUT]
    if asked == ["tune"]:
        tune(names or known)
    elif asked == ["hopper-tune"]:
        tune_hopper(names or [name for name in physical if name not in ON_DATA])
    elif asked == ["hopper"]:
        measure_hopper(names or physical)
        print(said_of_hopper())
    else:
        measure(sys.argv[1:] or known)
        print(said())
