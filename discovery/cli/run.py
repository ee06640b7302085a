"""`discovery run`: discover an objective, or go on with a discovery."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from discovery.cli.invocation import plugins, typed
from discovery.cli.output import JSON, show_json, show_table
from mpo.errors import RequestError

if TYPE_CHECKING:
    from discovery.config import Config
    from discovery.runs import Result


def run(
    preset: str | None = typer.Option(None, help="A run that ships: see `discovery list`."),
    config: Path | None = typer.Option(None, help="A TOML or JSON file that describes the run."),
    out: Path | None = typer.Option(
        None,
        help="Folder of the run; the same command continues what is there.",
        show_default="runs/PRESET",
    ),
    set_: list[str] = typer.Option(
        [], "--set", help="A setting on top, such as search.sigma=0.2; repeat for several."
    ),
    track: list[str] = typer.Option([], help="tensorboard or wandb; repeat for both."),
    quiet: bool = typer.Option(False, help="Show no progress."),
    devices: int | None = typer.Option(
        None, help="CPU devices that share the population.", show_default="one per core"
    ),
    cluster: str | None = typer.Option(
        None,
        help="Run in several processes, each with this command: 'auto' on SLURM, Kubernetes "
        "and TPUs, or HOST:PORT,PROCESSES,PROCESS such as localhost:9911,2,0.",
    ),
    as_json: bool = JSON,
) -> None:
    """Discover an objective: search, select, compare on other data, write it down.

    Interrupt it whenever you like: the same command goes on where it was. The folder holds
    the artifact (objective.json and .npz), the report (report.html and .md), and every number.

    Example: discovery run --preset quick --out runs/quick
    """
    described = _described(preset, config, set_)
    folder = out or Path("runs") / (preset or (config.stem if config else "run"))
    from discovery.host import startup

    startup.host_devices(devices)
    startup.compilation_cache()
    from discovery.host import processes
    from discovery.runs import discover

    with processes.joined(cluster):
        result = discover(described, folder, track=track, quiet=quiet, command=typed())
        if processes.primary():
            _show(result, described, folder, as_json)


def _described(preset: str | None, file: Path | None, settings: list[str]) -> "Config":
    from discovery import config

    if (preset is None) == (file is None):
        raise RequestError("give either --preset NAME or --config FILE: see `discovery list`")
    base = config.preset(preset) if preset is not None else config.from_file(Path(str(file)))
    named = dict.fromkeys((*base.plugins, *plugins()))
    changes = {"plugins": [*named], **dict(config.setting(text) for text in settings)}
    return config.changed(base, changes)


def _show(result: "Result", described: "Config", folder: Path, as_json: bool) -> None:
    if not as_json:  # before the table, whose statistics take a second to be imported
        print(f"{folder}: {described.about}\n", flush=True)
    from discovery.report import verdict

    if as_json:
        show_json({"folder": str(folder), "verdict": verdict(result), **result.as_json()})
        return
    table = result.table()
    show_table("", table.columns(), table.cells())
    print(f"\n{verdict(result)}")
    print(f"Report: {folder / 'report.html'}. In Python: mpo.objective({str(folder)!r})")
