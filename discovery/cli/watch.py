"""`discovery watch`: how a run goes that another process makes."""

import json
from pathlib import Path

import typer

from discovery.cli.output import JSON


def watch(
    folder: Path = typer.Argument(help="Of the run, as given to `discovery run --out`."),
    every: float = typer.Option(1.0, min=0.05, help="Seconds between looks."),
    as_json: bool = JSON,
) -> None:
    """Follow a run from another terminal: best so far, rate, time left, and what it does now.

    It ends with the run, with status 0; with status 1 where the run has stopped before its end.
    With --json every generation and every phase is a line.

    Example: discovery watch runs/quick
    """
    from discovery.runs.discover import rates
    from discovery.runs.follow import COMPARING, FINISHED, description, follow
    from discovery.runs.trackers import watching

    config, phase = description(folder), ""
    with watching(config, rates(config), folder, (), quiet=as_json) as watcher:
        for moment in follow(folder, every):
            for line in moment.lines:
                watcher.generation(line)
                if as_json:
                    print(json.dumps(line), flush=True)
            if as_json:
                now = {"phase": moment.phase, "compared": moment.compared}
                print(json.dumps(now), flush=True)
            phase = moment.phase
            count = f", {moment.compared} agents measured" if phase == COMPARING else ""
            watcher.phase(f"{phase}{count}")
    if phase != FINISHED:
        if not as_json:
            print(f"Nobody works in {folder}: repeat the command that began the run to go on.")
        raise typer.Exit(1)
    if not as_json:
        print(f"Report: {folder / 'report.html'}")
