"""Figures of the paper: landscapes on one colour scale, with dots where a training went."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from discovery.evidence import evaluation as evaluations
from discovery.evidence import markdown, stage, trajectory
from discovery.evidence.evaluation import Evaluation
from discovery.evidence.landscape import Grid, draw
from discovery.evidence.trajectory import Trajectory
from discovery.host.processes import all_devices
from discovery.paper.exhibit import Row
from discovery.paper.request import Made, Request
from discovery.report import Page
from discovery.search import streams
from discovery.search.streams import Purpose
from mpo.claim import Claim, locked
from mpo.errors import RequestError
from mpo.log import Say

ASKED = "asked.json"
"""What the trajectories in the folder of a panel were recorded for."""


def measure(request: Request, row: Row, out: Path, say: Say) -> None:
    """Record a training under every objective of a panel, unless it has been already."""
    asked = request.evaluation(row)
    for name in row.missing:
        say(f"{row.name}: {name} does not ship with this version, so it is not drawn")
    folder = _folder(out, row)
    if asked is None or _recorded(request, asked, folder) is not None:
        return
    with locked(folder):
        _record(request, row.name, asked, folder, say)


def _record(request: Request, row: str, asked: Evaluation, folder: Path, say: Say) -> None:
    say(f"{row}: preparing the data")
    ground = stage.prepare(asked.config, Purpose.EVALUATION, all_devices())
    key = streams.key(Purpose.EVALUATION, asked.config.seed)
    (folder / ASKED).unlink(missing_ok=True)  # before files that it does not speak of
    for (name, one), path in zip(asked.contestants.items(), _paths(asked, folder), strict=True):
        say(f"{row}: training under {name}")
        trajectory.record(one.objective, ground, key, agents=_agents(request)).save(path)
    _claim(folder).write(_wanted(request, asked))


def show(request: Request, out: Path) -> Made:
    """Draw the panels that are recorded, and return them as a page."""
    drawn = {row.name: _drawn(request, row, out) for row in request.exhibit.rows}
    rows = [
        {"name": row.name, "missing": list(row.missing), "figure": drawn[row.name]}
        for row in request.exhibit.rows
    ]
    parts = list(_parts(request, drawn))
    return Made(Page(request.exhibit.about, parts, out, None not in drawn.values()), rows)


def _drawn(request: Request, row: Row, out: Path) -> str | None:
    """Draw a panel, and return the name of the picture; `None`, if it is not recorded."""
    asked = request.evaluation(row)
    seen = None if asked is None else _recorded(request, asked, _folder(out, row))
    if asked is None or seen is None:
        return None
    columns = {column: name for column, name in row.objectives.items() if name in seen}
    path = out / "figures" / f"{request.exhibit.name}-{row.name}.png"
    draw(
        {column: asked.contestants[name].objective for column, name in columns.items()},
        Grid.around(list(seen.values())),
        path,
        request.exhibit.moments,
        {column: seen[name] for column, name in columns.items()},
    )
    return path.name


def _recorded(request: Request, asked: Evaluation, folder: Path) -> dict[str, Trajectory] | None:
    """Return the trajectory of every objective, if `folder` has them of what is asked."""
    try:
        held = _claim(folder).read()
    except RequestError:
        return None
    if held is None or _claim(folder).changes(_wanted(request, asked), held):
        return None
    paths = _paths(asked, folder)
    return {n: trajectory.load(path) for n, path in zip(asked.contestants, paths, strict=True)}


def _claim(folder: Path) -> Claim:
    return Claim(folder, ASKED, "record of trainings")


def _wanted(request: Request, asked: Evaluation) -> dict[str, Any]:
    return {**evaluations.wanted(asked), "agents": _agents(request)}


def _agents(request: Request) -> int:
    return 1 if request.seeds is None else request.seeds


def _paths(asked: Evaluation, folder: Path) -> list[Path]:
    return [folder / f"{number}.npz" for number, _ in enumerate(asked.contestants)]


def _folder(out: Path, row: Row) -> Path:
    return out / "rows" / row.name


def _parts(request: Request, drawn: Mapping[str, str | None]) -> Iterator[str]:
    agents = _agents(request)
    yield (
        "Absolute gradients of the loss in the log-probability per step of the chosen and of the "
        "rejected response, on one colour scale for each task. Dots are comparisons of the data "
        f"as {'an agent' if agents == 1 else f'{agents} agents'} saw them while training under "
        f"that objective. Scale {request.scale} ({request.size.about})."
    )
    for row in request.exhibit.rows:
        yield f"## {markdown.escaped(row.about)}"
        for name in row.missing:
            yield f"{markdown.code(name)} does not ship with this version, so it is not drawn."
        if picture := drawn[row.name]:
            said = ", ".join(
                f"{markdown.escaped(column)} is {markdown.code(name)}"
                for column, name in row.objectives.items()
            )
            yield markdown.figure(row.about, f"figures/{picture}")
            yield f"In the picture, {said}."
    if request.command:
        yield "## How it was made"
        yield markdown.fenced(request.command, "sh")
