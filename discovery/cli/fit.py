"""`discovery fit`: a discovered objective as a short formula."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from discovery.cli.evaluate import DATASET, LEVEL, PRESET, SET, TASK, asked_situation
from discovery.cli.invocation import typed
from discovery.cli.output import JSON, show_json, show_table
from mpo.errors import RequestError

if TYPE_CHECKING:
    from discovery.closed_form import Front
    from discovery.config import Config
    from discovery.evidence import Table
    from discovery.evidence.trajectory import Trajectory
    from mpo import Provenance


FOUND = "found"
"""What is fitted is called, beside its closed forms."""


def fit(
    objective: str = typer.Argument(help="The folder of a run, found/…, a file, or a name."),
    task: str | None = TASK,
    dataset: str | None = DATASET,
    level: str | None = LEVEL,
    preset: str | None = PRESET,
    set_: list[str] = SET,
    seed: int | None = typer.Option(
        None, help="Seed of it all.", show_default="that of the run, or 0"
    ),
    terms: int = typer.Option(4, help="Terms of the longest formula, ψ and φ⁻¹ together."),
    out: Path | None = typer.Option(
        None,
        help="Folder to write to.",
        show_default="closed_forms in the folder of a run, else closed_forms/NAME",
    ),
    evaluate: bool = typer.Option(
        False, "--evaluate", help="Train agents under every closed form, to see what is lost."
    ),
    seeds: int = typer.Option(16, help="Agents for each, with --evaluate."),
    episodes: int = typer.Option(100, help="Episodes that measure each agent."),
    as_json: bool = JSON,
) -> None:
    """Find short formulas for ψ and φ⁻¹ that train as the objective does, and what they lose.

    They are fitted where training under it lives: at the trajectory that its run recorded, or
    at that of an agent trained for it now. What was discovered knows its task and data; for
    another objective, or in another situation, give them as for `discovery evaluate`.

    Example: discovery fit runs/quick --evaluate --seeds 16
    """
    import mpo
    from discovery.closed_form.fitting import check
    from discovery.host import startup
    from mpo import OBJECTIVES

    startup.host_devices()
    startup.compilation_cache()

    original = mpo.objective(objective)
    origin = None if objective in OBJECTIVES else mpo.load(objective).provenance
    check(original, terms)
    elsewhere = bool(task or preset or dataset or level or set_) or seed is not None
    if task or preset:
        described = asked_situation(task, dataset, level, preset, set_, seed or 0)
    else:
        described = _own_situation(objective, origin, dataset, level, set_, seed)
    if evaluate and (seeds < 2 or episodes < 1):
        raise RequestError("--evaluate needs at least 2 seeds, and 1 episode")
    place = out or _place(objective)
    where = _trajectory(objective, described, elsewhere)
    _say("fitting")
    from discovery.closed_form import fit as fitted
    from discovery.closed_form import folder
    from discovery.evidence.evaluation import Evaluation, run

    front = fitted(original, where, terms=terms)
    folder.write(front, objective, origin, place)
    table = None
    if evaluate:
        from discovery.search.situation import algorithm

        compared = {objective if origin is None else FOUND: original}
        compared |= {point.name: point.objective() for point in front.points}
        contestants = {name: algorithm(described, one) for name, one in compared.items()}
        asked = Evaluation(described, contestants, seeds, episodes, typed())
        table = run(asked, place / "evaluation", _say)
    _show(front, table, place, as_json)


def _own_situation(
    objective: str,
    origin: "Provenance | None",
    dataset: str | None,
    level: str | None,
    settings: list[str],
    seed: int | None,
) -> "Config":
    """Return the description of the run that found the objective, with these changes."""
    from discovery import config
    from discovery.search import situation

    if origin is None or not origin.config:
        raise RequestError(
            f"{objective} does not say where agents are trained under it: give --task and "
            "--dataset, or --preset"
        )
    changes: dict[str, Any] = {"data.kind": dataset, "data.reference": level, "seed": seed}
    asked = {name: value for name, value in changes.items() if value is not None}
    asked |= dict(config.setting(text) for text in settings)
    described = config.changed(config.from_json(origin.config), asked)
    situation.check(described)
    return described


def _trajectory(objective: str, described: "Config", elsewhere: bool) -> "Trajectory":
    """Return the trajectory of the objective's run, or record one."""
    from discovery.evidence import stage, trajectory
    from discovery.host.processes import all_devices
    from discovery.search import streams
    from discovery.search.streams import Purpose
    from mpo import objective as by_name

    own = Path(objective) / trajectory.FILE
    if own.exists() and not elsewhere:
        return trajectory.load(own)
    _say("preparing the data")
    ground = stage.prepare(described, Purpose.DISCOVERY, all_devices())
    _say("recording a training")
    key = streams.key(Purpose.SELECTION, described.seed)
    return trajectory.record(by_name(objective), ground, key)


def _place(objective: str) -> Path:
    inside = Path(objective)
    return inside / "closed_forms" if inside.is_dir() else Path("closed_forms") / inside.name


def _show(front: "Front", table: "Table | None", place: Path, as_json: bool) -> None:
    if as_json:
        evaluation = {} if table is None else {"evaluation": table.as_json()}
        show_json({"folder": str(place), **front.as_json(), **evaluation})
        return
    columns = ("closed form", "terms", "ψ(x)", "φ⁻¹(x)", "λ", "error")
    rows = [
        (
            point.name,
            str(point.size),
            str(point.formula("psi")),
            str(point.formula("phi_inv")),
            f"{point.lam:g}",
            f"{point.error:.2%}",
        )
        for point in front.points
    ]
    show_table("", columns, rows)
    visited = front.trajectory.visited()
    if max(visited.chosen.max(), visited.rejected.max()) > 0:
        print("\nDensities above one were visited: powers of x and e^x have 1 + log π there for x.")
    if table is not None:
        print()
        show_table("", table.columns(), table.cells())
    print(f"\nIn {place}: front.json, front.png, and each as an objective, such as")
    print(f"  discovery export {place / front.points[-1].name} --to torch")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
