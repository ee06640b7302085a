"""Measure the headline: three searches of the bandit, four draws of its data, eight agents each.

python docs/headline.py RUNS      # RUNS has the folders quick, quick-1, quick-2, random-0, …

Controls have as many trainings as a search: random draws of the same family, CMA-ES over the
paper's closed form and its rate, and losses made by hand at settings that were tuned. What every
agent earned goes to docs/results/headline/bandit.json; `said()` is what the pages say of it.
"""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np

import discovery
import mpo
from discovery.evidence.statistics import LEVELS, estimate, number, signed
from discovery.evidence.tuned_file import read_tuned
from mpo import paths

OUT = Path(__file__).resolve().parent / "results" / "headline" / "bandit.json"
SEARCHES = {
    "found by evolution": ("quick", "quick-1", "quick-2"),
    "random draws of the family": ("random-0", "random-1", "random-2"),
    "CMA-ES over the closed form": ("closed-form-0", "closed-form-1", "closed-form-2"),
}
BY_HAND = ("orpo", "gce", "dpo", "sft")
AGENTS, DRAWS, EPISODES = 8, 4, 1024


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


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(Path(sys.argv[1]))
    print(said())
