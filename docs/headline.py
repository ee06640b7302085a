"""Measure the headlines: three searches of a task, four draws of its data, eight agents each.

python docs/headline.py RUNS             # the bandit: folders quick, quick-1, random-0, …
python docs/headline.py hopper           # physics: what was found is in docs/results/headline
python docs/headline.py quiet algorithms # only the algorithms that have names, beside the rest

On the bandit, controls have as many trainings as a search: random draws of the same family, CMA-ES
over the paper's closed form and its rate, and losses made by hand at settings that were tuned. On
physics, losses made by hand have the settings that the leaderboard chose. What every agent earned
goes to docs/results/headline; `said()` and `said_of(name)` are what the pages say of it.
"""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import discovery
import mpo
from discovery import algorithms
from discovery.algorithms.several import several
from discovery.config.sections import SAMPLED
from discovery.evidence.contest import measured, measures
from discovery.evidence.returns import BY_MEAN, RETURN
from discovery.evidence.statistics import LEVELS, estimate, number, signed
from discovery.evidence.tuned_file import read_tuned
from discovery.leaderboard.board import Loss, board
from discovery.leaderboard.making import Results
from discovery.leaderboard.measuring import Column
from discovery.search import situation, streams
from discovery.search.cohort import Cohort
from discovery.search.streams import Purpose
from mpo import paths
from mpo.train import stacked

RESULTS = Path(__file__).resolve().parent / "results"
FOLDER = RESULTS / "headline"
OUT = FOLDER / "bandit.json"
SEARCHES = {
    "found by evolution": ("quick", "quick-1", "quick-2"),
    "random draws of the family": ("random-0", "random-1", "random-2"),
    "CMA-ES over the closed form": ("closed-form-0", "closed-form-1", "closed-form-2"),
}
BY_HAND = ("orpo", "gce", "dpo", "sft")
AGENTS, DRAWS, EPISODES = 8, 4, 1024


class Physics(NamedTuple):
    """A headline on physics.

    Attributes:
      task: of the leaderboard.
      fault: column of the leaderboard.
      searches: what each search found: a name, or a folder beside the results.
      by_hand: losses to compare with, at the settings that the leaderboard chose.
      algorithms: ways to train that have a name, as they ship, to compare with.
    """

    task: str
    fault: str
    searches: tuple[str, ...]
    by_hand: tuple[str, ...]
    algorithms: tuple[str, ...] = ()


PHYSICS = {
    "hopper": Physics(
        "hopper",
        "shuffled",
        ("found/hopper-shuffled", "hopper-1", "hopper-2"),
        ("orpo", "gce", "sft"),
    ),
    "ant": Physics(
        "three_legged_ant",
        "shuffled",
        ("found/tla-shuffled", "tla-1", "tla-2"),
        ("orpo", "gce", "sft"),
    ),
    "quiet": Physics(
        "hopper",
        "scarce, quiet",
        ("scarce-quiet-0", "scarce-quiet-1", "scarce-quiet-2"),
        ("orpo", "gce", "sft", "kto_pair"),
        ("learnt_best_of_n", "learnt_rwr"),
    ),
}
FOUND = "found by evolution"


def measure(runs: Path) -> None:
    """Train and measure everything, and write the returns [searches, draws, agents] of each."""
    discovery.start()
    described = discovery.describe("quick")
    tuned = read_tuned(runs / "quick" / "tuned.json").objectives
    found: dict[str, list[list[list[float]]]] = {}
    for draw in range(DRAWS):
        data = (dataclasses.replace(described.data[0], seed=draw),)
        ground = discovery.prepare(dataclasses.replace(described, data=data))
        entries = {}
        for name, folders in SEARCHES.items():
            for number_, folder in enumerate(folders):
                one = mpo.find(str(runs / folder))
                beside = one.provenance.beside
                entries[name, number_] = paths.put_all(ground.algorithm(one.objective), beside)
        for name in BY_HAND:
            entries[name, 0] = tuned[name].algorithm(ground.algorithm(mpo.objective(name)))
        named = {f"{name}/{at}": entry for (name, at), entry in entries.items()}
        for key, own in discovery.evaluate(named, ground, AGENTS, EPISODES).items():
            name, at = key.rsplit("/", 1)
            rows = found.setdefault(name, [])
            if len(rows) <= int(at):
                rows.append([])
            rows[int(at)].append([float(f"{value:.6g}") for value in own])
            print(key, draw, np.mean(own), flush=True)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({"levels": LEVELS, "returns": found}, indent=1) + "\n")


def said() -> str:
    """Return the table of the headline, with the unit of every interval."""
    held = json.loads(OUT.read_text())["returns"]
    values = {name: np.array(own) for name, own in held.items()}
    against = values["orpo"][0]
    lines = [
        "| | mean return [95 %] | more than ORPO tuned [95 %] | the interval is over |",
        "| --- | --- | --- | --- |",
    ]
    for name, own in values.items():
        level, gap = estimate(own), estimate(own - against[None])
        more = (
            "" if name == "orpo" else f"{signed(gap.mean)} [{number(gap.low)}, {number(gap.high)}]"
        )
        lines.append(f"| {name} | {level} | {more} | {level.units} {level.unit} |")
    return "\n".join(lines)


def measure_physics(name: str) -> None:
    """Train and measure a headline on physics, and write the returns by either action."""
    discovery.start()
    one, results = PHYSICS[name], Results(RESULTS / "leaderboard")
    whole = board().chosen((one.task,), (), (one.fault,))
    ground, fault = whole.grounds[0], whole.faults[0]
    rows = {row.name: row for row in whole.losses}
    column = Column(ground, fault, rate=_chosen(results, ground, rows["sft"], fault)[RATE])
    keys = jax.vmap(jax.random.fold_in, (None, 0))(
        jax.random.fold_in(streams.key(Purpose.EVALUATION, 0), 1),
        jnp.arange(AGENTS, dtype=jnp.uint32),
    )

    def earned(row: Loss, point: dict[str, Any]) -> dict[str, list[Any]]:
        cohort = Cohort(column.situation(Purpose.EVALUATION, row, range(DRAWS)), ground.episodes)
        found = mpo.find(row.source)
        base = situation.algorithm(column.config(Purpose.EVALUATION), found.objective)
        base = paths.put_all(paths.put_all(base, found.provenance.beside), point)
        wanted = measures(cohort.situation.task)
        own = measured(cohort, stacked([base], each=AGENTS), keys, wanted)
        print(row.name, {k: round(float(np.mean(v)), 2) for k, v in own.items()}, flush=True)
        return {k: np.vectorize(lambda x: float(f"{x:.6g}"))(v).tolist() for k, v in own.items()}

    values: dict[str, list[dict[str, Any]]] = {FOUND: []}
    for source in one.searches:
        objective = source if source.startswith("found/") else str(FOLDER / source)
        values[FOUND].append(earned(Loss(name=source, group="found", objective=objective), {}))
    for hand in one.by_hand:
        values[hand] = [earned(rows[hand], _chosen(results, ground, rows[hand], fault))]
    for name_ in one.algorithms:
        values[name_] = [_by_algorithm(name_, ground.config(fault, range(DRAWS)))]
    held = {
        action: {row: [each[action] for each in own] for row, own in values.items()}
        for action in (RETURN, BY_MEAN)
    }
    _out(name).write_text(json.dumps({"levels": LEVELS, **held}, indent=1) + "\n")


def add_algorithms(name: str) -> None:
    """Measure the algorithms of a headline whose other rows are there already."""
    discovery.start()
    one, held = PHYSICS[name], json.loads(_out(name).read_text())
    whole = board().chosen((one.task,), (), (one.fault,))
    described = whole.grounds[0].config(whole.faults[0], range(DRAWS))
    for row in one.algorithms:
        own = _by_algorithm(row, described)
        for action in (RETURN, BY_MEAN):
            held[action][row] = [own[action]]
        _out(name).write_text(json.dumps(held, indent=1) + "\n")


def _by_algorithm(name: str, described: Any) -> dict[str, list[Any]]:
    """Return what agents of an algorithm earn on each draw of the data of a description."""
    found: dict[str, list[Any]] = {RETURN: [], BY_MEAN: []}
    for one in described.data:
        config, objective = algorithms.described(name, described.task.name)
        config = dataclasses.replace(config, data=(one,))
        agents = several(config, objective, range(AGENTS), timed=False)
        assert agents.by_mean is not None
        for action, own in ((RETURN, agents.returns), (BY_MEAN, agents.by_mean)):
            found[action].append([float(f"{value:.6g}") for value in own])
        print(name, np.mean(agents.returns), np.mean(agents.by_mean), flush=True)
    return found


RATE = "descent.learning_rate"


def _chosen(results: Results, ground: Any, row: Loss, fault: Any) -> dict[str, Any]:
    held = results.cell(ground, row, fault)
    assert held is not None, f"the leaderboard has no cell of {row.name}"
    return dict(held["best"][SAMPLED]["point"])


def _out(name: str) -> Path:
    return FOLDER / f"{name}.json"


def said_of(name: str) -> str:
    """Return the table of a headline on physics: both returns, and more than the best by hand."""
    held = json.loads(_out(name).read_text())
    strongest = max(PHYSICS[name].by_hand, key=lambda row: np.mean(held[RETURN][row]))
    lines = [
        f"| | sampled [95 %] | by the mean action [95 %] | sampled, more than {strongest} [95 %] |",
        "| --- | --- | --- | --- |",
    ]
    for row in held[RETURN]:
        sampled, by_mean = (np.array(held[action][row]) for action in (RETURN, BY_MEAN))
        gap = estimate(sampled - np.array(held[RETURN][strongest])[0][None])
        more = f"{signed(gap.mean)} [{number(gap.low)}, {number(gap.high)}]"
        label = f"`{row}`" if row in PHYSICS[name].algorithms else row
        lines.append(
            f"| {label} | {estimate(sampled)} | {estimate(by_mean)} | "
            f"{'' if row == strongest else more} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    asked = sys.argv[1] if len(sys.argv) > 1 else ""
    if asked in PHYSICS and sys.argv[2:] == ["algorithms"]:
        add_algorithms(asked)
        print(said_of(asked))
    elif asked in PHYSICS:
        measure_physics(asked)
        print(said_of(asked))
    elif asked:
        measure(Path(asked))
        print(said())
