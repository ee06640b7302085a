"""Write into the artifacts that ship what docs/results says they are worth, for `discovery list`.

python docs/worth.py
"""

import dataclasses
from pathlib import Path
from typing import Any

import mpo
from discovery.evidence.evaluation import command, read_table
from mpo.artifact.places import SHIPPED, locate, shipped_names

RESULTS = Path(__file__).resolve().parent / "results"
ELSEWHERE = {
    "hopper-noisy": RESULTS / "table-1" / "rows" / "noisy-0.1",
    "tla-noisy": RESULTS / "table-2" / "rows" / "noisy-0.2",
}
"""Evaluations that are not in a folder of the name of what was found."""


def worth(name: str) -> dict[str, Any]:
    """Return the command and the table of an evaluation: what it compares with, and `name`."""
    own = name.removeprefix(SHIPPED)
    folder = ELSEWHERE.get(own, RESULTS / own.removesuffix("-temporal"))
    table = read_table(folder)
    rows = tuple(row for row in table.rows if row.name in (table.rows[0].name, name))
    return {
        "command": command(folder),
        **dataclasses.replace(table, rows=rows).as_json(),
    }


def write(name: str) -> None:
    """Write it into a shipped artifact, which is otherwise left as it is."""
    held = mpo.load(name)
    extra = {**held.provenance.extra, "worth": worth(name)}
    mpo.save(held.objective, locate(name), dataclasses.replace(held.provenance, extra=extra))


if __name__ == "__main__":
    for name in shipped_names():
        write(name)
