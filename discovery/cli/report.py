"""`discovery report`: one page about a run, or about an evaluation."""

from pathlib import Path

import typer

from discovery.cli.output import JSON, show_json


def report(
    folder: Path = typer.Argument(help="Of a run, or what `discovery evaluate --out` wrote."),
    out: Path | None = typer.Option(
        None,
        help="A file to write, x.html or x.md.",
        show_default="report.html and report.md in the folder",
    ),
    as_json: bool = JSON,
) -> None:
    """Write what was asked, found and measured as one page, with every figure inside the HTML.

    A run writes its report when it ends. This writes it anew, such as when a closed form was
    found since, and shows how far a run in progress has come.

    Example: discovery report runs/quick --out quick.html
    """
    from discovery.report import write

    written = [str(path) for path in write(folder, out)]
    if as_json:
        show_json({"written": written})
        return
    for path in written:
        print(path)
