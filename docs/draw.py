"""Draw the figures of the README and of docs/ from the numbers in docs/results.

python docs/draw.py [FOLDER]
"""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import mpo
from discovery.evidence import Store, trajectory
from discovery.evidence.evaluation import ASKED, RETURNS, read_table
from discovery.evidence.figures import search_curve, seeds_chart
from discovery.evidence.landscape import Grid, draw
from mpo.artifact.places import SHIPPED, shipped_names

DOCS = Path(__file__).resolve().parent
RESULTS = DOCS / "results"


def figures() -> Iterator[tuple[str, Callable[[Path], object]]]:
    """Yield the name of every figure, and what draws it."""
    for folder in sorted((RESULTS / "searches").iterdir()):
        yield f"{folder.name}-search.png", lambda path, own=folder: _search(own, path)
        shipped = f"{SHIPPED}{folder.name}" in shipped_names()
        if shipped and (folder / trajectory.FILE).exists():
            yield f"{folder.name}-landscape.png", lambda path, own=folder: _landscape(own, path)
    for folder in sorted(path.parent for path in RESULTS.glob(f"*/{ASKED}")):
        yield f"{folder.name}-seeds.png", lambda path, own=folder: _seeds(own, path)


def _search(folder: Path, path: Path) -> None:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    config = json.loads((folder / "config.json").read_text())
    authors = json.loads((folder / "results.json").read_text())["authors"]
    search_curve(lines, path, authors, f"{config['about']} (seed {config['seed']})")


def _landscape(folder: Path, path: Path) -> None:
    seen = {"found": trajectory.load(folder / trajectory.FILE)}
    drawn = {"ORPO": mpo.objective("orpo"), "found": mpo.objective(f"{SHIPPED}{folder.name}")}
    draw(drawn, Grid.around(list(seen.values())), path, trajectories=seen)


def _seeds(folder: Path, path: Path) -> None:
    table, store = read_table(folder), Store(folder / RETURNS)
    names = [row.name for row in table.rows]
    seeds = range(len(store.seeds(names[0])))
    returns = store.returns(names, seeds)
    settings = {row.name: f"{row.name}, {row.note}" if row.note else row.name for row in table.rows}
    shown = {settings[name]: values for name, values in returns.items()}
    seeds_chart(shown, path, table.levels, f"{folder.name}: each dot an agent of its own seed")


def main(out: Path) -> None:
    """Draw them all into a folder."""
    for name, drawing in figures():
        drawing(out / name)
        print(out / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS / "figures")
