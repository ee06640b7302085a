"""Slopes without gradients: rates of those that papers' tables compare, and an exact loss.

python docs/zopro.py tune     # at an exact loss: rates, on keys that nothing is reported of
python docs/zopro.py          # what every way earns, at its tuned rate; writes the table
python docs/zopro.py sampled  # rates of the rows of `discovery paper zopro-…`, on other seeds
python docs/zopro.py families # those of its models in `zopro-table-3`

On the bandit the expected return is known, so its difference along a direction is exact. An agent
makes a first round of 40 gradients, which is what a guided slope is led by; then every way has 200
updates of two evaluations each. `said()` is the table of docs/paper.md.
"""

import itertools
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import discovery
import envs
from discovery.evidence.statistics import estimate, number
from mpo.pytree import pytree
from mpo.train import SPSA, Backward, Descent, ForwardGradient, Guided, Slope, descend

OUT = Path(__file__).resolve().parent / "results" / "zopro-exact" / "results.json"
FIRST, UPDATES = 40, 200
TUNING, KEYS = range(1000, 1002), range(8)
RATES = tuple(float(f"{base * 10**power:g}") for power in range(-2, 6) for base in (1, 3))
REWARDS = ("off_support", "aligned")


@pytree
@dataclass(frozen=True)
class Led:
    """A slope with a round behind it.

    Attributes:
      slope: that is meant.
      start: parameters at the beginning of that round.
      away: ΔR, shaped like them; zero for none.
    """

    slope: Any
    start: Any
    away: Any

    def init(self, params: Any, updates: int) -> Any:
        """Return its state at the beginning of the round that is behind it."""
        return self.slope.turn(self.slope.init(self.start, updates), self.start, self.away)

    def turn(self, state: Any, params: Any, hint: Any) -> Any:
        """Begin a round."""
        return self.slope.turn(state, params, self.away)

    def report(self, state: Any) -> Any:
        """Return what the slope reports."""
        return self.slope.report(state)

    def __call__(self, loss: Any, params: Any, state: Any, key: Any) -> Any:
        """Return the loss and the slope."""
        return self.slope(loss, params, state, key)


def guided(**settings: Any) -> Guided:
    """Return guidance of the settings, two evaluations an update."""
    return Guided(epsilon=1.0, **settings)


ARMS: Mapping[str, tuple[Slope, str]] = {
    "guided, α falls linearly": (guided(), "sgd"),
    "guided, α falls exponentially": (guided(decay="exponential"), "sgd"),
    "guided, α = 0.5 throughout": (guided(alpha=0.5, decay="constant"), "sgd"),
    "guided, as long as Δπ": (guided(magnitude="previous"), "sgd"),
    "no projection": (guided(projected=False), "sgd"),
    "shuffled Δπ": (guided(shuffled=True), "sgd"),
    "no Δπ": (guided(alpha=0.0, decay="constant"), "sgd"),
    "line search along Δπ": (guided(decay="constant"), "sgd"),
    "SPSA (MeZO)": (SPSA(epsilon=1.0), "sgd"),
    "SPSA, Rademacher": (SPSA(epsilon=1.0, noise="rademacher"), "sgd"),
    "SPSA, Adam": (SPSA(epsilon=1.0), "adam"),
    "guided, Adam": (guided(), "adam"),
    "forward gradient": (ForwardGradient(), "sgd"),
    "gradient, SGD": (Backward(), "sgd"),
    "gradient, Adam": (Backward(), "adam"),
}
"""Ways to descend, and by which optimizer."""


def earned(reward: str, arm: str, rates: tuple[float, ...], keys: range) -> dict[str, Any]:
    """Return the exact return after all updates, [rates, keys], and what there was before."""
    task: Any = envs.task("token_bandit", reward=reward, architecture="table")
    start = task.agent("reference")

    def loss(params: Any, key: Any) -> Any:
        return -task.expected_return(params)

    first = Descent(learning_rate=0.03, updates=FIRST)
    before, _ = jax.jit(lambda: descend(loss, start, first, jax.random.key(0)))()
    slope, optimizer = ARMS[arm]
    away = jax.random.normal(jax.random.key(1), jnp.shape(start))

    def one(rate: Any, number: Any) -> Any:
        led = Led(slope, start, away)
        descent = Descent(learning_rate=rate, updates=UPDATES, slope=led, optimizer=optimizer)
        last, seen = descend(loss, before, descent, jax.random.fold_in(jax.random.key(2), number))
        return task.expected_return(last), seen.get("change", jnp.zeros(1))[0]

    numbers = jnp.asarray([*keys], jnp.uint32)
    every = jax.vmap(jax.vmap(one, (None, 0)), (0, None))
    found, change = jax.jit(every)(jnp.asarray(rates), numbers)
    return {
        "return": np.nan_to_num(np.asarray(found, float)).round(5).tolist(),
        "change": np.asarray(change, float).round(5).tolist(),
        "before": round(float(task.expected_return(before)), 5),
        "dcos2": round(_worth(loss, start, before), 2),
    }


def _worth(loss: Any, start: Any, before: Any) -> float:
    """Return d cos²(Δπ, ∇J) where the second round begins: guidance pays where it is above 1."""
    gradient = jax.grad(loss)(before, jax.random.key(0))
    way = before - start
    cosine = jnp.sum(way * gradient) / jnp.linalg.norm(way) / jnp.linalg.norm(gradient)
    return float(way.size * cosine**2)


def tune(arms: list[str]) -> None:
    """Try all rates of every way, and keep all."""
    path = OUT.with_name("tuned.json")
    held = json.loads(path.read_text()) if path.exists() else {}
    for reward in REWARDS:
        for arm in arms:
            found = earned(reward, arm, RATES, TUNING)["return"]
            worth = np.mean(found, axis=1)
            best = RATES[int(np.argmax(worth))]
            held.setdefault(reward, {})[arm] = {"best": best, "return": found}
            print(f"{reward}, {arm}: {best:g} earns {worth.max():.3f}", flush=True)
        _write(path, held)
        jax.clear_caches()


def measure(arms: list[str]) -> None:
    """Measure every way at its rate, on keys that tuned nothing."""
    tuned = json.loads(OUT.with_name("tuned.json").read_text())
    held = json.loads(OUT.read_text()) if OUT.exists() else {}
    for reward in REWARDS:
        for arm in arms:
            rate = tuned[reward][arm]["best"]
            found = earned(reward, arm, (rate,), KEYS)
            one = {"rate": rate, **found, "return": found["return"][0], "change": []}
            held.setdefault(reward, {})[arm] = {n: v for n, v in one.items() if n != "change"}
        _write(OUT, held)
        jax.clear_caches()


# --- what responses tell: rates of the rows of the papers' tables ---------------------------

_ZO = {"descent.slope.epsilon": (0.3, 3.0)}
_EVERY = "descent.slope.every"
_LED = {"descent.slope": "guided", _EVERY: 10}
_REFINED = {
    "training.regime.grader": "learnt",
    "training.regime.model": {"kind": "policy", "learning_rate": 0.03},
    "training.regime.refine": {"every": 5, "prompts": 100, "learning_rate": 0.1},
    "data.kind": "scarce",
}
SAMPLED: Mapping[str, tuple[str, dict[str, Any], dict[str, tuple[float, ...]]]] = {
    "ppo": ("ppo", {}, {}),
    "rloo": ("rloo", {}, {}),
    "mezo": ("mezo", {}, _ZO),
    "forward gradient": ("ppo", {"descent.slope": "forward_gradient"}, {}),
    "guided": ("ppo", _LED, _ZO),
    "no Δπ": ("ppo", {**_LED, "descent.slope.alpha": 0.0}, _ZO),
    "shuffled Δπ": ("ppo", {**_LED, "descent.slope.shuffled": True}, _ZO),
    "line search": ("ppo", {**_LED, "descent.slope.decay": "constant"}, _ZO),
    "refined, ppo": ("ppo", _REFINED, {}),
    "refined, rloo": ("rloo", _REFINED, {}),
    "refined, on_policy_dpo": ("on_policy_dpo", _REFINED, {}),
    "refined, mezo": ("mezo", _REFINED, _ZO),
    "refined, zopro": ("zopro", {}, _ZO),
    "refined, no projection": ("zopro", {"descent.slope.projected": False}, _ZO),
}
"""Algorithms with settings, and what is tuned beside the rate."""
OPTIMIZERS = {"adam": (0.01, 0.03, 0.1, 0.3, 1.0), "sgd": (0.1, 1.0, 10.0, 100.0)}


def tune_sampled(names: list[str]) -> None:
    """Try rates under either optimizer; keep what every one earned, a mean over both rewards."""
    import algorithms as named  # the file beside this one

    path = OUT.with_name("sampled-tuned.json")
    held = json.loads(path.read_text()) if path.exists() else {}
    for name in names:
        algorithm, changes, also = SAMPLED[name]
        tried = []
        for optimizer, rates in OPTIMIZERS.items():
            grid = {named.RATE: rates, **also}
            points = [
                dict(zip(grid, one, strict=True)) for one in itertools.product(*grid.values())
            ]
            own = {"descent.optimizer": optimizer, **changes}
            found = [
                named.earned(algorithm, reward, points, named.TUNING, own)["return"]
                for reward in REWARDS
            ]
            worth = np.nan_to_num(np.mean(found, axis=(0, 2)))
            tried += [
                {"descent.optimizer": optimizer, **point, "return": round(float(value), 4)}
                for point, value in zip(points, worth, strict=True)
            ]
            jax.clear_caches()
        best = max(tried, key=lambda one: one["return"])
        held[name] = {"best": best, "tried": tried}
        print(name, best, flush=True)
        _write(path, held)


FAMILIES = {"table": (0.03, 0.1, 0.3, 1.0), "gpt": (3e-4, 1e-3, 3e-3, 1e-2)}


def tune_families() -> None:
    """Try rates of three arms for the models that the bandit's other rates are not meant for."""
    from discovery.algorithms import described
    from discovery.algorithms.several import several

    path = OUT.with_name("families-tuned.json")
    held = json.loads(path.read_text()) if path.exists() else {}
    arms = {"ppo": ("ppo", {}), "mezo": ("mezo", {}), "guided": ("ppo", {**_LED, _EVERY: 5})}
    for family, rates in FAMILIES.items():
        for arm, (algorithm, changes) in arms.items():
            for rate in rates:
                if f"{family}, {arm}, {rate:g}" in held:
                    continue
                own = {
                    **changes,
                    "task.settings.architecture": family,
                    "descent.learning_rate": rate,
                    "descent.updates": 300,
                }
                config, objective = described(algorithm, "token_bandit", own)
                found = several(config, objective, range(1000, 1002), timed=False).returns
                held[f"{family}, {arm}, {rate:g}"] = np.asarray(found, float).round(4).tolist()
                print(family, arm, rate, held[f"{family}, {arm}, {rate:g}"], flush=True)
                _write(path, held)
                jax.clear_caches()


def _write(path: Path, held: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(held, indent=None) + "\n")


def said() -> str:
    """Return the table of the ways."""
    held = json.loads(OUT.read_text())
    first = {reward: next(iter(arms.values())) for reward, arms in held.items()}
    lines = [
        "| way | " + " | ".join(f"{'R1' if r == REWARDS[0] else 'R2'} [95 %] | rate" for r in held),
        "| --- |" + " --- | --- |" * len(held),
        "| (after the first round) | "
        + " | ".join(f"{number(one['before'])} | " for one in first.values())
        + " |",
    ]
    lines[0] += " |"
    for arm in ARMS:
        cells = []
        for arms in held.values():
            one = arms[arm]
            cells += [str(estimate(np.array(one["return"])[None, None])), f"{one['rate']:g}"]
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    discovery.start()
    if sys.argv[1:2] == ["sampled"]:
        tune_sampled(sys.argv[2:] or list(SAMPLED))
    elif sys.argv[1:2] == ["families"]:
        tune_families()
    elif sys.argv[1:2] == ["tune"]:
        tune(sys.argv[2:] or list(ARMS))
    else:
        measure(sys.argv[1:] or list(ARMS))
        print(said())
