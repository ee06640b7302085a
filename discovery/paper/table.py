"""Tables of the paper: an evaluation a row, each in a folder of its own that survives anything."""

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from discovery.evidence import Store, Table, Tuned, markdown, tuning
from discovery.evidence import evaluation as evaluations
from discovery.evidence.returns import MEASURES
from discovery.evidence.statistics import Difference, Mean, number, signed
from discovery.evidence.table import Row as Line
from discovery.evidence.tuned_file import read_tuned, tuned_into
from discovery.paper.exhibit import Row
from discovery.paper.request import Made, Request
from discovery.report import Page
from mpo import treefile
from mpo.log import Say
from mpo.objectives import OBJECTIVES

NOT_SHIPPED, NOT_MEASURED = "not shipped", "not measured"


@dataclass(frozen=True)
class Measured:
    """A row and what was measured for it.

    Attributes:
      row: what was to be measured.
      table: of the row's objectives, by their names; `None`, if it was not measured yet.
      folder: of the evaluation of the row.
      command: the command line that measured the row.
      devices: how many of which kind the row was measured on.
    """

    row: Row
    table: Table | None
    folder: Path
    command: str = ""
    devices: str = ""

    def line(self, column: str) -> Line | None:
        """Return what was measured of the objective in a column."""
        lines = {line.name: line for line in self.table.rows} if self.table else {}
        return lines.get(self.row.objectives.get(column, ""))

    def cell(self, column: str) -> str:
        """Return the text of a cell: mean, and the difference to the first objective.

        Both by sampled actions, and after a slash by the mean action where it was measured.
        """
        name, line = self.row.objectives.get(column), self.line(column)
        if name is None:
            return ""
        if line is None:
            return NOT_SHIPPED if name in self.row.missing else NOT_MEASURED
        measured = [(line.mean, line.gap), (line.by_mean, line.by_mean_gap)]
        return " / ".join(_said(mean, gap) for mean, gap in measured if mean is not None)

    def expert(self) -> str:
        """Return the mean return of the data's expert, as text; empty, if it is not known."""
        levels = self.table.levels if self.table else {}
        return next((number(v) for name, v in levels.items() if name.startswith("expert")), "")


def measure(request: Request, row: Row, out: Path, say: Say) -> None:
    """Evaluate a row in a folder of its own; what is known of it already is not trained again."""
    tuned = _tuned(request, row, out, partial(_say, say, row)) if request.tune else {}
    asked = request.evaluation(row, tuned)
    for name in row.missing:
        say(f"{row.name}: {name} does not ship with this version, so it is not measured")
    if asked is not None:
        evaluations.run(asked, _folder(out, row), partial(_say, say, row))


def _said(mean: Mean, gap: Difference | None) -> str:
    known = gap is not None and math.isfinite(gap.mean)
    return f"{mean} ({signed(gap.mean)})" if gap and known else str(mean)


def _tuned(request: Request, row: Row, out: Path, say: Say) -> dict[str, Tuned]:
    """Tune the hand-made objectives of a row, on data and seeds of its own kind."""
    names = sorted({*row.objectives.values()} & {*OBJECTIVES})
    described = request.config(row)
    episodes = min(tuning.EPISODES, request.episodes or described.evaluation.episodes)
    return tuned_into(tuned_file(out, row), described, names, tuning.SEEDS, episodes, say)


def show(request: Request, out: Path) -> Made:
    """Return the whole table, as far as it is known, and write all returns in one file."""
    rows = measured(request, out)
    _write_returns(rows, out)
    parts = list(_parts(request, rows))
    finished = all(one.table is not None for one in rows)
    return Made(Page(request.exhibit.about, parts, out, finished), [_plain(one) for one in rows])


def measured(request: Request, out: Path) -> list[Measured]:
    """Return all rows with what is known of them; nothing is trained."""
    found = []
    for row in request.exhibit.rows:
        folder, file = _folder(out, row), tuned_file(out, row)
        tuned = read_tuned(file).objectives if request.tune and file.exists() else {}
        asked = request.evaluation(row, tuned)
        table = None if asked is None else evaluations.earlier(asked, folder)
        made = (evaluations.command(folder), evaluations.devices(folder)) if table else ("", "")
        found.append(Measured(row, table, folder, *made))
    return found


def _parts(request: Request, rows: Sequence[Measured]) -> Iterator[str]:
    columns = request.exhibit.columns
    first = columns[0]
    both = any(one.table and one.table.rows[0].by_mean for one in rows)
    by = " By sampled actions / by the mean action." if both else ""
    yield (
        f"Mean true return ± standard error, in brackets how much more than {first}.{by} Scale "
        f"{request.scale} ({request.size.about}). The paper's tables did not survive in its text; "
        "where the text says something of a cell, it stands in the last column."
    )
    yield markdown.table(
        ["data", "expert", *columns, "seeds", "in the paper"],
        [
            [
                markdown.escaped(one.row.about),
                one.expert(),
                *[markdown.escaped(one.cell(column)) for column in columns],
                _seeds(one),
                _in_the_paper(one.row),
            ]
            for one in rows
        ],
    )
    if missing := sorted({name for one in rows for name in one.row.missing}):
        names = ", ".join(map(markdown.code, missing))
        yield f"Not shipped with this version, and so not measured: {names}."
    yield (
        "Differences below are paired by seed, with a 95 % interval (a bootstrap; Student's under "
        "16 seeds) and a paired t test, adjusted over each table by Holm's method. Data and seeds "
        "are none that a discovery or a tuning saw; all agents of a row train on one draw of the "
        "data, so errors and tests are over agents, not over datasets."
    )
    for one in rows:
        if one.table is not None:
            yield f"## {markdown.escaped(one.row.about)}"
            yield one.table.markdown()
    yield "## How it was made"
    commands = dict.fromkeys(one.command for one in rows if one.command)
    if commands:
        yield markdown.fenced("\n".join(commands), "sh")
    if machines := sorted({one.devices for one in rows if one.devices}):
        yield f"On {', '.join(map(markdown.escaped, machines))}."
    yield (
        "Every return is in `returns.csv`; the settings of a row are in its "
        "`rows/NAME/evaluation.json`."
    )


def _seeds(one: Measured) -> str:
    if one.table is None:
        return ""
    return str(max(line.mean.seeds + line.mean.failed for line in one.table.rows))


def _in_the_paper(row: Row) -> str:
    said: dict[str, list[str]] = {}
    for column in row.objectives:
        if column in row.paper:
            said.setdefault(row.paper[column], []).append(column)
    return "; ".join(
        markdown.escaped(f"{', '.join(columns)}: {text}") for text, columns in said.items()
    )


def _write_returns(rows: Sequence[Measured], out: Path) -> None:
    """Write the returns of all rows as one file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    stores = {
        one.row.name: (Store(one.folder / evaluations.RETURNS), one.table)
        for one in rows
        if one.table is not None
    }
    known = [store.measures([line.name]) for store, table in stores.values() for line in table.rows]
    columns = [measure for measure in MEASURES if any(measure in own for own in known)]
    writer.writerow(("row", "objective", "seed", *columns))
    for name, (store, table) in stores.items():
        for line in table.rows:
            for seed in store.seeds(line.name):
                writer.writerow((name, line.name, seed, *store.texts(line.name, seed, columns)))
    out.mkdir(parents=True, exist_ok=True)
    treefile.replace(out / "returns.csv", text.getvalue().encode())


def _folder(out: Path, row: Row) -> Path:
    return out / "rows" / row.name


def tuned_file(out: Path, row: Row) -> Path:
    """Return the file of the settings that are tuned for a row."""
    return out / "tuned" / f"{row.name}.json"


def _plain(one: Measured) -> dict[str, Any]:
    """Return a row as plain JSON values."""
    return {
        "name": one.row.name,
        "about": one.row.about,
        "objectives": dict(one.row.objectives),
        "paper": dict(one.row.paper),
        "missing": list(one.row.missing),
        "measured": None if one.table is None else one.table.as_json(),
    }


def _say(say: Say, row: Row, text: str) -> None:
    say(f"{row.name}: {text}")
