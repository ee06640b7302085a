"""The report of an evaluation: the table, every seed in a picture, and what made them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from discovery.evidence import Store, Table, markdown
from discovery.evidence.evaluation import ASKED, RESULTS, claim, read_table, stores
from discovery.evidence.figures import seeds_chart
from discovery.evidence.returns import OF_ACTION
from discovery.report.page import Page, asked, figures
from discovery.search import user_file

CAPTIONS = {"seeds.png": "The return of every seed, and means with standard errors"}


def is_one(folder: Path) -> bool:
    """Return whether the folder is that of an evaluation."""
    return (folder / ASKED).exists()


def page(folder: Path) -> Page:
    """Return the report of an evaluation, and draw the figure that is in it."""
    held = claim(folder).read() or {}
    results = _results(folder)
    table = None if results is None else results[0]
    store, *further = stores(folder, table.draws if table else 1)
    names = [row.name for row in table.rows] if table else [*held.get("objectives", {})]
    seeds = _common(store, names)
    known = [name for name in names if seeds and store.seeds(name)]
    title = f"{_named(held)}: {', '.join(known)}" if known else _named(held)
    if known:
        levels, measured = dict(table.levels) if table else {}, store.measures(known)
        wanted = [measure for measure in OF_ACTION.values() if measure in measured]
        drawn = [[one.returns(known, seeds, m) for one in (store, *further)] for m in wanted]
        shown = [{n: np.concatenate([one[n] for one in own]) for n in known} for own in drawn]
        seeds_chart(shown[0], folder / "figures" / "seeds.png", levels, title, *shown[1:])
    so_far = table or (Table.stored(store, known, seeds) if known else None)
    parts = [part for part in _parts(folder, held, store, so_far, results) if part]
    return Page(title, parts, folder, results is not None)


def _parts(
    folder: Path,
    held: dict[str, Any],
    store: Store,
    table: Table | None,
    results: "tuple[Table, dict[str, Any]] | None",
) -> Iterator[str]:
    done = {name: len(store.seeds(name)) for name in held["objectives"]}
    if results is None:
        counts = ", ".join(f"{markdown.escaped(name)} {count}" for name, count in done.items())
        yield (
            f"> **Not finished:** seeds done so far: {counts}. The table is over the seeds that "
            "all objectives have."
        )
    tables = [one for one in held.get("data") or [] if isinstance(one, dict)]
    ground = user_file.ground(tables, "a draw of the data", "discoveries and tunings do")
    yield (
        f"Mean true return, {held.get('episodes')} episodes an agent, on "
        f"{markdown.escaped(ground)} and with seeds that no discovery or tuning sees; ± is a "
        f"standard error. {_unit(table)}, and a paired t test, adjusted over the table by Holm's "
        "method."
    )
    if table is not None:
        yield table.markdown()
    yield from figures(folder, CAPTIONS).values()
    yield "## The situation"
    yield asked(held)
    yield "## How it was made"
    more = " and those beside it, one a draw" if table is not None and table.draws > 1 else ""
    yield (
        f"Seed {markdown.escaped(str(held.get('seed')))}. Every return is in `returns.csv`{more}, "
        "and every setting in `evaluation.json`."
    )
    if results is not None:
        about = results[1]
        yield markdown.fenced(str(about.get("command", "")), "sh")
        versions = about.get("versions")
        rows = dict(versions) if isinstance(versions, dict) else {}
        if "devices" in about:
            rows |= {"devices": about["devices"]}
        yield markdown.table(
            ("what", "which"),
            [(markdown.escaped(str(k)), markdown.escaped(str(v))) for k, v in rows.items()],
        )


def _unit(table: Table | None) -> str:
    """Return what errors and intervals are over."""
    if table is not None and table.draws > 1:
        return (
            f"The same seeds train on each of {table.draws} draws, and errors and tests are over "
            "these datasets, not over agents. Differences are paired by draw and seed, with a 95 % "
            "interval (a bootstrap of datasets and the agents in each; Student's under 16 draws)"
        )
    return (
        "All agents train on that one draw, so errors and tests are over agents, not over "
        "datasets. Differences are paired by seed, with a 95 % interval (a bootstrap; Student's "
        "under 16 seeds)"
    )


def _results(folder: Path) -> tuple[Table, dict[str, Any]] | None:
    if not (folder / RESULTS).exists():
        return None
    return read_table(folder), json.loads((folder / RESULTS).read_text())


def _common(store: Store, names: list[str]) -> list[int]:
    """Return the seeds that are known of every objective that has any."""
    known = [{*own} for name in names if (own := store.seeds(name))]
    return sorted(set.intersection(*known)) if known else []


def _named(asked: dict[str, Any]) -> str:
    """Return the name of the task and the kinds of data, for the title."""
    task, data = asked.get("task"), asked.get("data")
    kinds = [str(one.get("kind") or one.get("path")) for one in data or [] if isinstance(one, dict)]
    return f"{task.get('name') if isinstance(task, dict) else task}, {' and '.join(kinds)} data"
