"""Whether losses found with gradients survive without them, and the other way round.

python docs/survival.py          # what is not done yet, an hour on two cores; then prints the table

Agents write what they are trained on (presets quick-on-policy and quick-zeroth-order, which differ
in how a direction is had alone). Three searches of each find losses; those and hand-made ones are
then trained both ways. Every entry is tuned for the way it is trained, on seeds set aside: shape
and rate first (24 points), then, by forward passes, the weight of the last round's way and the
length of perturbations (nine points). What every agent earned is in
docs/results/survival/results.json.
"""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

import discovery
from discovery.evidence.statistics import Estimate, estimate
from discovery.search.situation import Situation
from mpo import paths
from mpo.train import Algorithm

OUT = Path(__file__).resolve().parent / "results" / "survival" / "results.json"
RUNS = Path("runs") / "survival"
WAYS = {"gradients": "quick-on-policy", "forward passes": "quick-zeroth-order"}
SEARCHES, AGENTS, TUNING, EPISODES = range(3), 16, 6, 1024
BY_HAND = ("orpo", "dpo", "ipo", "sft")
ALPHAS, EPSILONS = (0.0, 0.5, 1.0), (0.3, 1.0, 3.0)


def entries() -> dict[str, str]:
    """Return what is compared: its name, and where its loss is; searches are made if need be."""
    found = dict(zip(BY_HAND, BY_HAND, strict=True))
    for way, preset in WAYS.items():
        for seed in SEARCHES:
            folder = RUNS / f"{preset}-{seed}"
            described = discovery.describe(preset, {"seed": seed, "evaluation.seeds": 2,
                "evaluation.tune": False, "evaluation.against": ["dpo"]})  # fmt: skip
            discovery.discover(described, folder)
            found[f"found with {way}, search {seed}"] = str(folder)
    return found


def tuned(name: str, ground: Situation, forward: bool) -> dict[str, float]:
    """Return the values of a loss and its descent that earn most on tuning seeds, by path."""
    base = discovery.algorithm(name, ground)
    best = discovery.tune(name, ground)
    values = {f"objective.{key}": value for key, value in best.settings.items()}
    values["descent.learning_rate"] = best.learning_rate
    if not forward:
        return values
    slopes = [
        values | {"descent.slope.alpha": alpha, "descent.slope.epsilon": epsilon}
        for alpha, epsilon in itertools.product(ALPHAS, EPSILONS)
    ]
    tried: dict[str, Algorithm] = {
        str(at): paths.put_all(base, one) for at, one in enumerate(slopes)
    }
    earned = discovery.evaluate(tried, ground, seeds=TUNING, episodes=128)
    return slopes[int(np.argmax([np.mean(earned[name]) for name in tried]))]


def measure() -> None:
    """Tune and train whatever has not been trained yet."""
    for way, preset in WAYS.items():
        aside, ground = (
            discovery.prepare(discovery.describe(preset), purpose)
            for purpose in ("tuning", "evaluation")
        )
        for name, where in entries().items():
            held = _held()
            own: dict[str, Any] = held.setdefault(way, {})
            if name in own:
                continue
            values = tuned(where, aside, way == "forward passes")
            base = discovery.algorithm(where, ground)
            one = {name: paths.put_all(base, values)}
            earned = discovery.evaluate(one, ground, seeds=AGENTS, episodes=EPISODES)
            own[name] = {
                "values": {path: float(f"{value:.6g}") for path, value in values.items()},
                "returns": [float(f"{value:.6g}") for value in earned[name]],
            }
            OUT.parent.mkdir(parents=True, exist_ok=True)
            OUT.write_text(json.dumps(held, indent=1) + "\n")
            print(way, name, np.mean(earned[name]), values, flush=True)


def said() -> str:
    """Return the table, rows of what was trained and columns of how, and the differences."""
    held = _held()
    lines = ["| loss | " + " | ".join(f"by {way}" for way in WAYS) + " |", "| --- | --- | --- |"]
    for group in (*BY_HAND, *(f"found with {way}" for way in WAYS)):
        cells = [str(_estimate(_returns(held[way], group))) for way in WAYS]
        lines.append(f"| {group} | {' | '.join(cells)} |")
    for way, own in held.items():
        by_hand = {name: _returns(own, name) for name in BY_HAND}
        best = max(by_hand, key=lambda name: float(np.mean(by_hand[name])))
        for kind in WAYS:
            more = _estimate(_returns(own, f"found with {kind}") - by_hand[best])
            lines += ["", f"By {way}, found with {kind} less the best by hand ({best}): {more}"]
    return "\n".join(lines)


def _returns(own: dict[str, Any], group: str) -> Float[np.ndarray, "searches agents"]:
    """Return what agents earned under a loss, or under every loss of a group of searches."""
    return np.array([one["returns"] for name, one in own.items() if name.startswith(group)])


def _estimate(values: Float[np.ndarray, "searches agents"]) -> Estimate:
    return estimate(values, levels=("search", "agent"))


def _held() -> dict[str, Any]:
    return json.loads(OUT.read_text()) if OUT.exists() else {}


if __name__ == "__main__":
    discovery.start()
    measure()
    print(said())
