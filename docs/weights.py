"""Paths of policies and reward models, and ZOPrO's own numbers, each beside what chance gives.

python docs/weights.py              # trains, measures, writes docs/results/weights, prints tables
python docs/weights.py noise        # what of them is the memory of the optimizer
python docs/weights.py transformer  # a transformer, by layer, with the memory of Adam and without

Trained as in the paper's section 3: rounds of a policy's updates under a reward model, which is
then refined on pairs of the policy's own responses. Both are tables of one shape, a row of logits
for each position and group of contexts, and begin at the weights of the bandit's reference agent.
"""

import dataclasses
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.special
import scipy.stats
from jaxtyping import Float

import discovery
import envs
import mpo
from discovery import algorithms
from discovery.search import situation
from discovery.weights import Findings, Measured, analyse, draw, save
from discovery.weights.measures import against, among, distance_correlation, next_step_in_order
from mpo.policies import PolicyScores
from mpo.train import Graded, Learnt, Regime, hyper, train
from mpo.train.rounds import opening, rounds_on

OUT = Path(__file__).resolve().parent / "results" / "weights"
SEEDS, ITERATIONS, ROUNDS, PAIRS, RATE = range(3), 40, 10, 64, 0.03
METHODS = {"RLOO": "rloo", "online DPO": "on_policy_dpo"}


class Model(NamedTuple):
    """What is trained, and how.

    Attributes:
      architecture: of the bandit's policy, and of its reward model.
      optimizer: of the policy; the reward model's is Adam.
      rate: of the policy.
      refining: of the reward model.
    """

    architecture: str = "positions"
    optimizer: str = "adam"
    rate: float = RATE
    refining: float = RATE


TRANSFORMERS = {
    "Adam": Model("gpt", "adam", 0.001, 0.001),
    "SGD": Model("gpt", "sgd", 0.1, 0.001),
}
LAYERS = {
    "embeddings": ("embed", "place"),
    "attention": ("attend",),
    "wide layers": ("widen", "narrow"),
    "norms": ("norm",),
    "logits": ("out",),
}
MEASURES = {
    "next_step": "cosine to the next step",
    "next_step_in_order": "the same, steps in order",
    "first_component": "share of PC1",
    "angle": "angle of policy and reward, °",
    "angle_farthest": "farthest from 90°, °",
    "angle_after": "angle to the reward's step before, °",
    "pearson": "Pearson",
    "procrustes": "Procrustes",
    "entry_correlation": "distance correlation",
}

# arXiv:2503.03460, tables 4 to 9: at iterations 0, 10, …, 90, in the 100 dimensions of its code.
DIMENSIONS = 100
ANGLES = {
    "RLOO": [88.66, 90.38, 92.20, 91.22, 96.62, 94.94, 93.78, 83.20, 99.10, 83.03],
    "online DPO": [82.32, 98.08, 79.30, 90.29, 93.33, 91.51, 90.54, 91.85, 89.78, 85.24],
}
DISTANCE_CORRELATIONS = {
    "RLOO": [0.142, 0.145, 0.160, 0.165, 0.196, 0.169, 0.156, 0.156, 0.236, 0.191],
    "online DPO": [0.181, 0.242, 0.205, 0.141, 0.157, 0.171, 0.114, 0.123, 0.132, 0.225],
}
PEARSONS = {
    "RLOO": [-0.016, 0.062, -0.020, -0.006, 0.075, -0.011, 0.016, 0.110, -0.052, 0.141],
    "online DPO": [0.187, -0.504, -0.181, 0.084, -0.038, 0.078, -0.032, 0.014, -0.001, 0.004],
}


def papers() -> dict[str, dict[str, Measured]]:
    """Return the paper's numbers, of each method, beside those of unrelated vectors."""
    correlations = unrelated(DIMENSIONS)
    spread = float((DIMENSIONS - 1) ** -0.5)
    found: dict[str, dict[str, Measured]] = {}
    for method in METHODS:
        degrees, distance, pearson = (
            np.array(table[method]) for table in (ANGLES, DISTANCE_CORRELATIONS, PEARSONS)
        )
        count = len(degrees)
        farthest = np.max(np.abs(_draws(count, spread)), axis=1)
        found[method] = {
            "mean angle, °": against(
                float(np.mean(degrees)), 90.0, angle_spread(DIMENSIONS) / count**0.5, "formula"
            ),
            "angles off 90°, rms": among(
                float(np.sqrt(np.mean((degrees - 90) ** 2))),
                np.sqrt(np.mean(_draws(count, angle_spread(DIMENSIONS)) ** 2, axis=1)),
                "draws",
            ),
            "mean distance correlation": against(
                float(np.mean(distance)),
                float(np.mean(correlations)),
                float(np.std(correlations, ddof=1) / count**0.5),
                f"{correlations.size} pairs",
            ),
            "mean Pearson": against(float(np.mean(pearson)), 0.0, spread / count**0.5, "formula"),
            "farthest Pearson, absolute": among(float(np.max(np.abs(pearson))), farthest, "draws"),
        }
    return found


def angle_spread(size: int) -> float:
    """Return the standard deviation of the angle of random directions, in degrees; near 57.3/√d."""
    return float(np.degrees(np.sqrt(scipy.special.polygamma(1, size / 2) / 2)))


def unrelated(size: int, pairs: int = 300) -> Float[np.ndarray, "pairs"]:
    """Return the distance correlations of the entries of pairs of independent normal vectors."""
    drawn = np.random.default_rng(0).normal(size=(pairs, 2, size))
    return np.array(
        [distance_correlation(*np.abs(two[:, :, None] - two[:, None])) for two in drawn]
    )


def _draws(count: int, spread: float) -> Float[np.ndarray, "draws count"]:
    return spread * np.random.default_rng(0).normal(size=(9999, count))


def trained(name: str, seed: int, folder: Path, of: Model = Model()) -> list[Path]:  # noqa: B008
    """Train a policy and its reward model; return the folders of their checkpoints."""
    config, objective = algorithms.described(
        name,
        "token_bandit",
        {
            "task.settings.architecture": of.architecture,
            "training.hyper.optimizer": of.optimizer,
            "training.hyper.learning_rate": of.rate,
            "training.hyper.batch": 16,
            "training.hyper.updates": ITERATIONS * ROUNDS,
            "training.regime.prompts": 16,
            "training.regime.responses": 4,
            "training.regime.reuse": 1,
            "training.regime.grader": "learnt",
            "training.regime.refine": {
                "every": ROUNDS, "prompts": PAIRS, "updates": 20, "learning_rate": of.refining,
            },
        },
    )  # fmt: skip
    task = envs.task("token_bandit", **config.task.settings)
    start, model = task.agent("reference"), PolicyScores(task.policy)
    first, fit, order = jax.random.split(jax.random.key(seed), 3)
    writer = Regime(task=task, prompts=512, responses=2, pairing="ends")
    blank = writer.init(None, task.policy, start, first)
    pairs, _ = writer(None, task.policy, start, blank, first, jnp.int32(0))
    bradley_terry = mpo.objective("closed_form", alpha=0.0, beta=1.0, length_normalise=False)
    fitting = hyper(learning_rate=of.refining, updates=200, batch=64)
    reward, _ = train(bradley_terry, pairs, model, fit, fitting, start=start)
    arguments = (
        situation.algorithm(config, objective),
        Graded(pairs, Learnt(model=model, params=reward)),
        task.policy,
        order,
    )
    carry, _ = opening(*arguments, start=start)
    policies, rewards = [start], []
    for done in range(0, ITERATIONS * ROUNDS, ROUNDS):
        carry, _ = rounds_on(*arguments, carry, jnp.int32(done), ROUNDS, start=start)
        policies.append(carry[0].params)
        rewards.append(carry[1].model)  # it is refined when the next rounds begin
    for part, params in (("policy", policies[:-1]), ("reward", rewards)):
        save(folder / part, jax.tree.map(lambda *leaves: np.stack(leaves), *params))
    return [folder / "policy", folder / "reward"]


def measure() -> None:
    """Train, analyse and write what was found."""
    discovery.start()
    OUT.mkdir(parents=True, exist_ok=True)
    runs: dict[str, list[Any]] = {}
    for method, name in METHODS.items():
        runs[method] = []
        for seed in SEEDS:
            with tempfile.TemporaryDirectory() as folder:
                findings = analyse(trained(name, seed, Path(folder)), layers=False)
            runs[method].append(_kept(findings))
            if seed == SEEDS[0]:
                draw(findings, OUT / f"{name}.png", caption="python docs/weights.py")
    held = {
        "command": "python docs/weights.py",
        "paper": {m: {n: _as_json(one) for n, one in rows.items()} for m, rows in papers().items()},
        "runs": runs,
    }
    (OUT / "results.json").write_text(json.dumps(held, indent=1) + "\n")


def _kept(findings: Findings) -> dict[str, Any]:
    """Return the measures of a run."""
    whole = {**findings.whole.paths[0], **findings.whole.between}
    reward = findings.whole.paths[1]
    return {
        "weights": findings.whole.weights,
        "checkpoints": len(findings.numbers),
        "whole": {name: _as_json(one) for name, one in whole.items()},
        "reward": {name: _as_json(one) for name, one in reward.items()},
    }


def _as_json(one: Measured) -> dict[str, Any]:
    return {
        name: value if isinstance(value, str) else _rounded(value)
        for name, value in dataclasses.asdict(one).items()
    }


def _rounded(value: float) -> float | None:
    return float(f"{value:.4g}") if np.isfinite(value) else None


def said() -> str:
    """Return the tables: the paper's numbers, and those that were measured here."""
    held = json.loads((OUT / "results.json").read_text())
    lines = [
        "| in the paper | method | value | by chance | z | p |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for method, rows in held["paper"].items():
        lines += [f"| {name} | {method} | {_cells(one)} |" for name, one in rows.items()]
    lines += [
        "",
        "| here, first of three seeds | method | value | by chance | z | p | z of the others |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for method, runs in held["runs"].items():
        first, *others = (run["whole"] for run in runs)
        for name, label in MEASURES.items():
            zs = ", ".join(f"{run[name]['z']:+.1f}" for run in others)
            lines.append(f"| {label} | {method} | {_cells(first[name])} | {zs} |")
    return "\n".join(lines)


def _cells(one: dict[str, Any]) -> str:
    return (
        f"{one['value']:.3g} | {one['null']:.3g} ± {one['spread']:.1g} | {one['z']:+.1f} "
        f"| {one['p']:.2g}"
    )


def measure_layers() -> None:
    """Train a transformer and its reward model, and write what was found of each layer."""
    discovery.start()
    held: dict[str, Any] = {"command": "python docs/weights.py transformer"}
    for optimizer, of in TRANSFORMERS.items():
        for method, name in METHODS.items():
            runs = held.setdefault(optimizer, {}).setdefault(method, [])
            for seed in SEEDS:
                with tempfile.TemporaryDirectory() as folder:
                    findings = analyse(trained(name, seed, Path(folder), of))
                layers = {
                    layer: {key: _as_json(one[key]) for key in SHOWN}
                    for layer, part in findings.layers.items()
                    for one in [{**part.paths[0], **part.between}]
                }
                runs.append({**_kept(findings), "layers": layers})
                print(optimizer, method, seed, flush=True)
                (OUT / "transformer.json").write_text(json.dumps(held) + "\n")


SHOWN = {
    "next_step": "cosine to the next step",
    "angle": "angle, °",
    "angle_after": "angle to the step before, °",
    "entry_correlation": "distance correlation",
}


def said_of_layers() -> str:
    """Return the table: of all weights, and of the leaves of each kind of layer."""
    held = json.loads((OUT / "transformer.json").read_text())
    lines = [
        "| trained by | weights | " + " | ".join(SHOWN.values()) + " |",
        "| --- | --- |" + " --- |" * len(SHOWN),
    ]
    for optimizer in TRANSFORMERS:
        for method, runs in held[optimizer].items():
            whole = [[run["whole"][key] for run in runs] for key in SHOWN]
            name = f"{method}, {optimizer}"
            lines.append(f"| {name} | all | {' | '.join(map(_several, whole))} |")
            for kind, starts in LAYERS.items():
                parts = [
                    part
                    for run in runs
                    for layer, part in run["layers"].items()
                    if layer.startswith(starts)
                ]
                cells = [_several([part[key] for part in parts]) for key in SHOWN]
                lines.append(f"| {name} | {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _several(ones: list[dict[str, Any]]) -> str:
    """Return the median of values, of nulls, and how many of them are told from chance."""
    ones = [one for one in ones if one["value"] is not None and one["p"] is not None]
    value, null = (np.median([one[key] for one in ones]) for key in ("value", "null"))
    told = sum(one["p"] < 0.01 for one in ones)
    return f"{value:.3g} ({null:.3g}); {told} of {len(ones)}"


def of_noise(decay: float, iterations: int = 40, updates: int = 10) -> Measured:
    """Return the cosine of each step with the next where Adam is given noise for gradients.

    Args:
      decay: of Adam's mean of gradients, its memory; 0 for none.
      iterations: steps, from a checkpoint to the next.
      updates: of Adam that make one.
    """
    rng, adam = np.random.default_rng(0), optax.adam(0.03, b1=decay)
    weights = np.zeros(1000, np.float32)
    state, path = adam.init(weights), [weights]
    for _ in range(iterations):
        for _ in range(updates):
            noise = rng.normal(size=weights.size).astype(np.float32)
            step, state = adam.update(noise, state)
            weights = weights + np.asarray(step)
        path.append(weights)
    moved = np.diff(np.array(path, float), axis=0)
    return next_step_in_order(moved @ moved.T)


if __name__ == "__main__":
    if sys.argv[1:] == ["transformer"]:
        measure_layers()
        print(said_of_layers())
        sys.exit()
    if sys.argv[1:] != ["noise"]:
        measure()
        print(said())
    for decay in (0.9, 0.0):
        print(f"noise under Adam, decay {decay}: {of_noise(decay)}")
