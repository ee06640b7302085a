"""`discovery paper`: the tables and figures of the papers, a command each."""

import json
import sys
from pathlib import Path

import typer

from discovery.cli.invocation import typed
from discovery.cli.output import JSON, show_json, show_table
from mpo.errors import RequestError, unknown


def paper(
    exhibit: str | None = typer.Argument(
        None, help="Which: table-1 or on-policy-figure-4, say; without a name all are listed."
    ),
    scale: str = typer.Option("small", help="small (minutes a row on two cores), or paper."),
    out: Path | None = typer.Option(
        None,
        help="Folder for all of it; the same command continues what is there.",
        show_default="runs/EXHIBIT-SCALE",
    ),
    seeds: int | None = typer.Option(
        None,
        help="Agents for each objective; in a figure, trainings that dots are drawn of.",
        show_default="the preset's: 16 or 25; 1 in a figure",
    ),
    episodes: int | None = typer.Option(
        None, help="Episodes that measure each agent.", show_default="the preset's"
    ),
    only: list[str] = typer.Option([], help="A row, by name; repeat for several."),
    set_: list[str] = typer.Option(
        [], "--set", help="A setting on top of every row's, such as data.rows=64; repeat."
    ),
    tune: bool = typer.Option(
        False, "--tune", help="Tune the hand-made objectives of each row of a table on its data."
    ),
    as_json: bool = JSON,
) -> None:
    """Make a table or figure of a paper, with objectives that ship.

    Each row is an evaluation on data and seeds that no discovery or tuning saw. The folder
    gets the page as Markdown and HTML, returns.csv with every return, and results.json.

    Example: discovery paper table-1 --only shuffled --only noisy-0.1
    """
    from discovery.paper import trainings
    from discovery.paper.exhibit import exhibit as named
    from discovery.paper.exhibit import exhibits

    if exhibit is None:
        _list({**exhibits(), **trainings.names()}, as_json)
        return
    from discovery import config
    from discovery.host import startup

    if exhibit in trainings.names():
        if only or set_ or tune or episodes is not None or scale != "small":
            raise RequestError(f"{exhibit} compares algorithms: it takes --out, --seeds and --json")
        startup.host_devices()
        startup.compilation_cache()
        place = out or Path("runs") / exhibit
        page = trainings.make(trainings.named(exhibit), place, _say, seeds)
        print((place / "results.json" if as_json else page).read_text())
        return

    if exhibit not in (known := exhibits()):
        raise unknown("table or figure", exhibit, (*known, *trainings.names()))
    chosen = named(exhibit)
    if tune and chosen.shape != "table":
        raise RequestError(f"--tune is for a table, and {exhibit} is a figure")
    changes = dict(config.setting(text) for text in set_)
    startup.host_devices()
    startup.compilation_cache()
    from discovery.paper import Request, make

    request = Request(chosen, scale, seeds, episodes, tuple(only), changes, tune, typed())
    folder = out or Path("runs") / f"{exhibit}-{scale}"
    pages = make(request, folder, _say)
    if as_json:
        show_json(json.loads((folder / "results.json").read_text()))
        return
    print(pages[0].read_text())
    for page in pages:
        print(page)


def _list(known: dict[str, str], as_json: bool) -> None:
    if as_json:
        show_json(known)
        return
    show_table("Tables and figures", ("name", "what it is"), known.items())


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
