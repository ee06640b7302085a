"""Judge the hand-made losses, for `discovery judge` to show others beside them.

    python docs/judge.py                   # the bandit: minutes on two cores
    python docs/judge.py hopper            # hours

What they earn is package data, discovery/judging/TASK.json.
"""

import sys
from pathlib import Path

from discovery.judging import verdict
from discovery.judging.child import Limits
from discovery.judging.sealed import sealed
from discovery.leaderboard.board import board

ROOT = Path(__file__).resolve().parents[1]


def main(task: str = "token_bandit") -> None:
    """Judge every row of the leaderboard that is a loss made by hand; write what they earn."""
    chosen, records = sealed(task), {}
    path = ROOT / "discovery" / "judging" / f"{task}.json"
    names = [one.name for one in board().losses if one.group != "found" and not one.after_sft]
    for name in names:
        folder = ROOT / "runs" / "judge" / f"{name}-{task}"
        records[name] = verdict.judge(name, chosen, folder, Limits(), say=lambda text: None)
        path.write_text(verdict.kept(records, chosen))
        print(name, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
