"""Losses carried from task to task: as they are, and with the anchor of the task they come to.

python docs/anchors.py hopper          # found elsewhere, used there; minutes on two cores
python docs/anchors.py three_legged_ant

The anchor of a task is what 95 % of its chosen responses stay below in log π of a step, after an
SFT at the preset's rate, which is the tuned one (docs/results/tuned). Anchored, a loss bends at
the same distance from it as at home; scaled, too, in log π of an entry of an action. What every
agent earned is in docs/results/transfer/anchors.json.
"""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np

import discovery
import mpo
from discovery.evidence import stage
from discovery.evidence.statistics import estimate
from discovery.host.processes import all_devices
from discovery.search import situation
from discovery.search.streams import Purpose
from mpo.objectives import Objective
from mpo.objectives.points import point
from mpo.train.anchor import Anchor, anchor

PRESETS = {"token_bandit": "quick", "hopper": "hopper-small", "three_legged_ant": "tla-small"}
FOUND = {
    "token_bandit": "found/bandit-shuffled",
    "hopper": "found/hopper-shuffled",
    "three_legged_ant": "found/tla-shuffled",
}
BESIDE = {"orpo": {"lam": 0.3}, "gce": {}}
AGENTS, DRAWS, EPISODES = 6, 3, 16
OUT = Path(__file__).resolve().parent / "results" / "transfer" / "anchors.json"


def anchors() -> dict[str, Anchor]:
    """Return the anchor of every task, measured once and kept."""
    held = _held()
    for task, preset in PRESETS.items():
        if task not in held.setdefault("anchors", {}):
            described = discovery.describe(preset)
            ground = situation.prepare(described, Purpose.DISCOVERY, all_devices())
            rate = float(described.training.hyper["learning_rate"])
            agent = stage.agent(ground, rate, Purpose.DISCOVERY, described.seed, 0)
            found = anchor(ground.sources[0], ground.task.policy, agent)
            held["anchors"][task] = found._asdict()
            _write(held)
    return {task: Anchor(**one) for task, one in held["anchors"].items()}


def carried(home: Anchor, here: Anchor, name: str) -> dict[str, Objective]:
    """Return a loss as it is, anchored, and anchored in units of the task."""
    loss = point(mpo.objective(name))
    scale = here.spread / home.spread
    return {
        "as it is": loss,
        "anchored": dataclasses.replace(loss, anchor=here.anchor - home.anchor),
        "anchored and scaled": dataclasses.replace(
            loss, anchor=here.anchor - scale * home.anchor, spread=scale
        ),
    }


def measure(task: str) -> None:
    """Train agents of a task under losses that were found on the others."""
    places = anchors()
    losses: dict[str, Objective] = {
        name: mpo.objective(name, **settings) for name, settings in BESIDE.items()
    }
    losses[FOUND[task]] = mpo.objective(FOUND[task])
    for home, name in FOUND.items():
        if home != task:
            for how, loss in carried(places[home], places[task], name).items():
                losses[f"{name}, {how}"] = loss
    described = discovery.describe(PRESETS[task])
    for draw in range(DRAWS):
        data = (dataclasses.replace(described.data[0], seed=draw),)
        ground = discovery.prepare(dataclasses.replace(described, data=data))
        for name, loss in losses.items():
            held = _held()
            own = held.setdefault("returns", {}).setdefault(task, {}).setdefault(name, {})
            for action in ("sampled", "mean"):
                draws = own.setdefault(action, [])
                if len(draws) > draw:
                    continue
                found = discovery.evaluate({name: loss}, ground, AGENTS, EPISODES, action=action)
                draws.append([float(f"{value:.6g}") for value in found[name]])
            _write(held)
            print(task, draw, name, np.mean(own["sampled"][draw]), flush=True)


def said() -> str:
    """Return the table of what was carried where."""
    lines = [
        "| used on | loss | sampled [95 %] | by the mean action [95 %] |",
        "| --- |" + " --- |" * 3,
    ]
    for task, losses in _held()["returns"].items():
        for name, own in losses.items():
            cells = [str(estimate(np.array(own[one])[None])) for one in ("sampled", "mean")]
            lines.append(f"| {task.replace('_', ' ')} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _held() -> dict:
    return json.loads(OUT.read_text()) if OUT.exists() else {}


def _write(held: dict) -> None:
    OUT.write_text(json.dumps(held) + "\n")


if __name__ == "__main__":
    discovery.start()
    measure(sys.argv[1])
    print(said())
