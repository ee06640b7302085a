"""The report of a run: its situation, what it found and what that is worth, where it comes from."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mpo
from discovery import config
from discovery.config import Config
from discovery.evidence import markdown
from discovery.evidence.statistics import number, signed
from discovery.evidence.table import Row
from discovery.report import closed_form
from discovery.report.page import Page, asked, figures
from discovery.runs.folder import Folder
from discovery.runs.lines import of_a_generation
from discovery.runs.result import Result
from discovery.runs.result import found as read_result
from discovery.search import user_file
from mpo.errors import RequestError
from mpo.log import JsonLog, Line
from mpo.objectives import OBJECTIVES

CAPTIONS = {
    "search.png": "Fitness over generations",
    "landscape.png": "How hard it pulls on the chosen and pushes on the rejected response",
}


@dataclass(frozen=True)
class Record:
    """What the folder of a run holds.

    Attributes:
      folder: of the run that is reported on.
      config: the description of the run.
      lines: one for each generation so far.
      result: what was found; `None` for a run that has not ended.
      provenance: of the objective that was found; `None` for a run that has not ended.
    """

    folder: Folder
    config: Config
    lines: Sequence[Line]
    result: Result | None
    provenance: mpo.Provenance | None


def read(path: Path) -> Record:
    """Return what the folder of a run holds.

    Raises:
      RequestError: something in it is damaged.
    """
    folder = Folder(path)
    ended = folder.results.exists()
    described = config.from_file(folder.config)
    return Record(
        folder=folder,
        config=described,
        lines=_lines(folder),
        result=read_result(folder) if ended else None,
        provenance=mpo.load(folder.objective).provenance if ended else None,
    )


def page(record: Record) -> Page:
    """Return the report."""
    described = record.config
    drawn = figures(record.folder.path, CAPTIONS)
    title = described.about or described.task.name
    parts = [part for part in _parts(record, drawn) if part]
    return Page(title, parts, record.folder.path, record.result is not None)


def verdict(result: Result) -> str:
    """Say in a sentence what came out, with the numbers, whether it pleases or not."""
    first, row, *_ = result.table().rows
    other = first.name.upper() if first.name in OBJECTIVES else first.name
    baseline, found, gain = first.mean, row.mean, row.gap
    assert gain is not None
    if result.selected == "start":
        return (
            "The search found nothing better than the loss that it started from: "
            f"{found} against {baseline} of {other}."
        )
    if not row.whole(first):
        return (
            f"The objective found earns {found}, {other} {baseline}: where agents failed, those "
            "that are left are no fair comparison."
        )
    clear = (gain.low > 0 or gain.high < 0) and gain.p < 0.05
    words = "more" if gain.mean > 0 else "less"
    return (
        f"The objective found earns {found}, {other} {baseline}: {number(abs(gain.mean))} "
        f"{words} (95 % interval {number(gain.low)} to {number(gain.high)}, p = {gain.p:.2g}, "
        f"{found.seeds} seeds)"
        + ("." if clear else ", which these seeds do not tell from chance.")
        + _by_mean(row, first, other)
        + ("" if first.name in result.tuned else f" {other} was not tuned here.")
    )


def _by_mean(row: Row, first: Row, other: str) -> str:
    """Say what is left of the difference where agents act by their mean, if that was measured."""
    gap = row.by_mean_gap
    if gap is None:
        return ""
    return (
        f" By the mean action it is {row.by_mean} against {first.by_mean} of {other}: "
        f"{signed(gap.mean)} (95 % interval {number(gap.low)} to {number(gap.high)})."
    )


def _parts(record: Record, drawn: dict[str, str]) -> Iterator[str]:
    result, described = record.result, record.config
    if result is None:
        done, last = len(record.lines), described.search.generations
        yield (
            f"> **Not finished:** {done} of {last} generations are done. What it found, and what "
            "that is worth, will stand here when it has ended."
        )
    else:
        yield markdown.escaped(verdict(result))
    yield "## The situation"
    yield asked(described.as_json())
    if result is not None:
        yield "## What it is worth"
        yield _worth(described, result)
        yield result.table().markdown()
    yield "## The search"
    yield drawn.pop("search.png", "")
    yield from _search(record)
    if landscape := drawn.pop("landscape.png", ""):
        yield "## Its landscape"
        yield landscape
    yield from closed_form.parts(record.folder.path)
    if drawn:
        yield "## More figures"
        yield from drawn.values()
    yield "## How it was made"
    yield from _origin(record)


def _worth(described: Config, result: Result) -> str:
    own = described.evaluation
    tuned = "; ".join(f"{name} {one.said()}" for name, one in result.tuned.items())
    settings = (
        "have settings of their own, the best of as many points for each, tried on data and seeds "
        f"set aside for it: {markdown.escaped(tuned)}."
        if tuned
        else "have their default settings: none was tuned here."
    )
    tables = [one.as_json() for one in described.data]
    ground = user_file.ground(tables, "another draw of the data", "the search did")
    by = (
        " Agents draw their actions, unless a column says that they act by the mean; log-std is "
        "how far actions spread, a mean over their entries."
        if result.by_mean
        else ""
    )
    return (
        f"Mean true return of {own.seeds} agents for each objective, {own.episodes:,} episodes "
        f"an agent, on {markdown.escaped(ground)} and with other seeds than those the search saw; "
        "± is a standard error. All of them train on that one draw, so errors and tests are over "
        "agents, not over datasets. Differences are paired by seed, with a 95 % interval (a "
        "bootstrap; Student's under 16 seeds) and a paired t test, adjusted over the table by "
        f"Holm's method.{by} The objectives compared with {settings}"
    )


def _search(record: Record) -> Iterator[str]:
    search, lines, result = record.config.search, record.lines, record.result
    minutes = lines[-1]["seconds"] / 60 if lines else 0.0
    devices = record.provenance.extra.get("devices") if record.provenance else None
    on = f" on {markdown.escaped(str(devices))}" if devices else ""
    yield (
        f"{markdown.escaped(search.strategy)}, {search.population} members, {len(lines)} "
        f"generations, σ {search.sigma:g}, in {minutes:.1f} minutes{on}."
    )
    if result is None:
        return
    measure = record.config.evaluation.selection
    by = "agents from other seeds" if measure is None else f"the measure `{measure}`"
    yield f"At the end **{markdown.escaped(result.selected)}** was selected, by {by}:"
    rows = [(markdown.escaped(name), str(mean)) for name, mean in result.candidates.items()]
    yield markdown.table(("candidate", "return" if measure is None else "score"), rows)


def _origin(record: Record) -> Iterator[str]:
    path, about = record.folder.path, record.provenance
    yield (
        f"Seed {record.config.seed}. Every setting is in `config.json`, the numbers of every "
        "generation in `metrics.jsonl`, those of every agent compared in `results.json`."
    )
    yield "To go on with it:" if about is None else "The same run again:"
    out = path if about is None else f"{path}-again"
    command = ["discovery", "run", "--config", str(record.folder.config), "--out", str(out)]
    yield markdown.fenced(shlex.join(command), "sh")
    if about is None:
        return
    yield "What it found:"
    yield markdown.fenced(f"import mpo\nloss = mpo.objective({str(path)!r})", "python")
    rows = [
        ("command", about.command),
        ("made", about.created),
        ("commit", about.commit),
        *about.versions.items(),
        *[(f"data {n}", _digest(one)) for n, one in enumerate(about.data, 1)],
    ]
    said = [(markdown.escaped(k), markdown.escaped(str(v))) for k, v in rows if v is not None]
    yield markdown.table(("what", "which"), said)


def _digest(data: Any) -> str | None:
    """Return kind, seed and hash of a dataset, which tell it from any other."""
    if not isinstance(data, Mapping) or "sha256" not in data:
        return None
    of = f"what is in {data['path']}" if "path" in data else "its recipe"
    return f"{data.get('kind')}, seed {data.get('seed')}, SHA-256 of {of} {data['sha256']}"


def _lines(folder: Folder) -> list[Line]:
    found = JsonLog(folder.metrics).lines()
    for number_, line in enumerate(found, 1):
        if not of_a_generation(line):
            raise RequestError(f"{folder.metrics} is damaged: line {number_} is no generation's")
    return found
