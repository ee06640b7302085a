"""Tables and figures of papers in which algorithms are compared: trainings, round by round.

Each is a file of `contents.trainings`: its rows are algorithms with settings, its columns settings
of the task. What every agent earned is kept, and how each round went; a figure is drawn of it.
"""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from discovery import algorithms
from discovery.algorithms.several import Several, several
from discovery.config.sections import Section, Settings
from discovery.evidence.markdown import table
from discovery.evidence.statistics import estimate, number
from discovery.paper.request import check_place
from mpo import treefile
from mpo.claim import locked
from mpo.errors import RequestError, unknown
from mpo.log import Say
from mpo.settings import count

CURVES = 60
"""At most how many points of a curve are kept."""


@dataclass(frozen=True, kw_only=True)
class Row(Section):
    """An algorithm.

    Attributes:
      name: of the row.
      algorithm: as `discovery train` takes it.
      set: settings on top.
      paper: what the paper's text says of it, if anything.
    """

    name: str
    algorithm: str
    set: Settings = field(default_factory=dict)
    paper: str = ""


@dataclass(frozen=True, kw_only=True)
class Column(Section):
    """A variant of the task.

    Attributes:
      name: of the column.
      set: settings on top of every row's.
    """

    name: str
    set: Settings = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Trainings(Section):
    """A table or figure.

    Attributes:
      name: in commands, such as "on-policy-figure-4".
      about: a line about it.
      origin: the paper, and which of its tables or figures.
      task: where agents act.
      says: what the paper finds.
      found: what is found here.
      seeds: agents of each row in each column.
      x, y: what is drawn: of each round, y over x; nothing where they are left out.
      beside: further measures of rounds in the table, of the last round; with "_first" behind its
        name one is of the first.
      rows: the algorithms.
      columns: variants of the task.
    """

    name: str
    about: str
    origin: str
    task: str
    says: str
    found: str = ""
    seeds: int = count(5, at_least=2)
    x: str = ""
    y: str = ""
    beside: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    columns: tuple[Column, ...] = (Column(name=""),)


@cache
def names() -> dict[str, str]:
    """Return every such table and figure, with a line about it."""
    folder = resources.files("discovery.paper.contents.trainings")
    files = sorted(path.name for path in folder.iterdir() if path.name.endswith(".toml"))
    return {name: named(name).about for name in (file.removesuffix(".toml") for file in files)}


def named(name: str) -> Trainings:
    """Return the table or figure of a name."""
    path = resources.files("discovery.paper.contents.trainings").joinpath(f"{name}.toml")
    if not path.is_file():
        raise unknown("table or figure", name, names())
    values = tomllib.loads(path.read_text())
    rows = tuple(map(Row.of, values.pop("rows", ())))
    columns = tuple(map(Column.of, values.pop("columns", ({"name": ""},))))
    return Trainings.of({**values, "name": name, "rows": rows, "columns": columns})


def make(one: Trainings, folder: Path, say: Say, seeds: int | None = None) -> Path:
    """Measure what is not measured yet, and write the page; the same call goes on."""
    if seeds is not None and seeds < 2:
        raise RequestError(f"seeds is {seeds}: it must be at least 2")
    check_place(folder)
    one = replace(one, seeds=seeds or one.seeds)
    agents = range(one.seeds)
    with locked(folder):
        path = folder / "results.json"
        held: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        for row in one.rows:
            for column in one.columns:
                key, wanted = f"{row.name} / {column.name}", _asked(one, row, column, agents)
                entry, kept = _entry(one, row), held.get(key, {})
                # A cell from before entries had fingerprints is taken as it is.
                if kept.get("asked") == wanted and kept.get("entry", entry) == entry:
                    continue
                say(f"{one.name}: {key}")
                held[key] = {"asked": wanted, "entry": entry, **_measured(one, row, column, agents)}
                lines = [f"{json.dumps(n)}: {json.dumps(v)}" for n, v in held.items()]
                treefile.replace(path, ("{\n" + ",\n".join(lines) + "\n}\n").encode())
        page = folder / "page.md"
        treefile.replace(page, (written(one, held) + "\n").encode())
        if one.x:
            draw(one, held, folder / "figure.png")
    return page


def written(one: Trainings, held: Mapping[str, Any]) -> str:
    """Return the page of what is measured."""
    columns = ["algorithm"]
    for column in one.columns:
        label = f"{column.name}: " if column.name else ""
        columns += [f"{label}return [95 %]", f"{label}KL"]
        columns += [f"{label}{name}" for name in one.beside]
    columns += ["responses", "seconds an agent"]
    told = any(row.paper for row in one.rows)
    if told:
        columns.append("the paper")
    cells = []
    for row in one.rows:
        line = [row.name]
        for column in one.columns:
            values = held.get(f"{row.name} / {column.name}")
            if values is None:
                line += ["", "", *("" for _ in one.beside)]
                continue
            line += [_level(values["return"]), number(float(np.mean(values["kl"])))]
            last = values["last"]
            line += [
                number(float(np.mean(last[name]))) if name in last else "" for name in one.beside
            ]
        first = held.get(f"{row.name} / {one.columns[0].name}")
        samples = 0.0 if first is None else float(np.mean(first["last"].get("samples", 0.0)))
        line += [f"{samples:,.0f}", "" if first is None else f"{first['seconds']:.2f}"]
        cells.append(line + ([row.paper] if told else []))
    parts = [f"# {one.origin}", one.about + ".", f"The paper: {one.says}"]
    if one.found:
        parts.append(f"Here: {one.found}")
    parts.append(table(columns, cells))
    parts.append(
        f"{one.seeds} agents each, on seeds that tuned nothing; intervals over agents. "
        f"`discovery paper {one.name}` makes it."
    )
    return "\n\n".join(parts)


def draw(one: Trainings, held: Mapping[str, Any], path: Path) -> None:
    """Draw y over x of every round, a panel for each column; a dot where there is one round."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = (3.6 * len(one.columns) + 1.4, 3.6)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(one.columns), sharey=True, squeeze=False)[0]
    for axes, column in zip(panels, one.columns, strict=True):
        for place, row in enumerate(one.rows):
            values = held.get(f"{row.name} / {column.name}", {"curves": {}})
            if one.y not in values["curves"]:
                continue
            x, y = (np.array(values["curves"][axis], float) for axis in (one.x, one.y))
            colour, style = f"C{place % 10}", "o" if y.shape[1] == 1 else "-"
            axes.plot(x.mean(0), y.mean(0), style, color=colour, label=row.name)
            axes.fill_between(x.mean(0), y.min(0), y.max(0), color=colour, alpha=0.15, linewidth=0)
        axes.set(xlabel=one.x.replace("_", " "), title=column.name)
        axes.grid(alpha=0.25)
    panels[0].set_ylabel(one.y.replace("_", " "))
    panels[-1].legend(fontsize=8, edgecolor="none")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _measured(one: Trainings, row: Row, column: Column, agents: range) -> dict[str, Any]:
    config, objective = algorithms.described(
        row.algorithm, one.task, {**dict(row.set), **dict(column.set)}
    )
    found: Several = several(config, objective, agents)
    rounds = {name: values for name, values in found.rounds.items() if values.size}
    length = next(iter(rounds.values())).shape[1] if rounds else 0
    kept = np.unique(np.linspace(0, length - 1, min(length, CURVES)).round().astype(int))
    last = {name: _short(values[:, -1]) for name, values in rounds.items()}
    last |= {f"{name}_change": _short(values) for name, values in found.change.items()}
    last |= {f"{name}_first": _short(rounds[name][:, 0]) for name in one.beside if name in rounds}
    if "kl_writer" in rounds:
        last["kl_writer_most"] = _short(rounds["kl_writer"].max(axis=1))
    return {
        "return": _short(found.returns),
        **({} if found.by_mean is None else {"return_by_mean_action": _short(found.by_mean)}),
        "kl": _short(found.kl),
        "seconds": round(found.seconds, 3),
        "last": last,
        "curves": {
            name: [_short(line[kept]) for line in rounds[name]]
            for name in {one.x, one.y} & rounds.keys()
        },
    }


def _asked(one: Trainings, row: Row, column: Column, agents: range) -> dict[str, Any]:
    return {
        "algorithm": row.algorithm,
        "set": {**dict(row.set), **dict(column.set)},
        "task": one.task,
        "seeds": len(agents),
    }


def _entry(one: Trainings, row: Row) -> str:
    """Return a fingerprint of what an algorithm says of itself for a task."""
    entry = algorithms.named(row.algorithm)
    parts = [entry.objective, entry.settings, entry.values, entry.data, entry.on.get(one.task, {})]
    text = json.dumps(parts, sort_keys=True, default=dict)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _short(values: Any) -> list[float]:
    return [float(f"{value:.5g}") for value in np.asarray(values, float).reshape(-1)]


def _level(values: list[float]) -> str:
    return str(estimate(np.array(values)[None, None]))
