"""The root of the command: its subcommands, its exit status, its one-line errors."""

import importlib.metadata
import sys
import traceback

import typer

from discovery import plugins
from discovery.cli import (
    agents,
    anchor,
    bench,
    data,
    evaluate,
    fit,
    judge,
    leaderboard,
    listing,
    objectives,
    paper,
    recommend,
    report,
    run,
    train,
    watch,
    weights,
)
from discovery.cli.invocation import carried_out
from discovery.host.stopping import Interrupted
from mpo.errors import RequestError

app = typer.Typer(
    name="discovery",
    help="Discover preference-optimization losses: from preference data with a fault to a loss.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("list")(listing.show)
app.command("run")(run.run)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("tune")(evaluate.tune)
app.command("anchor")(anchor.anchor)
app.command("landscape")(objectives.landscape)
app.command("fit")(fit.fit)
app.command("watch")(watch.watch)
app.command("report")(report.report)
app.command("paper")(paper.paper)
app.command("leaderboard")(leaderboard.leaderboard)
app.command("recommend")(recommend.recommend)
app.command("judge")(judge.judge)
app.command("weights")(weights.weights)
app.command("bench")(bench.bench)
app.add_typer(agents.app, name="agents")
app.add_typer(data.app, name="data")
for entry in importlib.metadata.entry_points(group="discovery.commands"):
    try:  # those of packages that this one may not import
        app.command(entry.name)(entry.load())
    except ImportError as error:
        print(
            f"discovery: without {entry.name!r}, which is installed and fails: {error}",
            file=sys.stderr,
        )


def _version(asked: bool) -> bool:
    if asked:
        print(f"preference-discovery {importlib.metadata.version('preference-discovery')}")
        raise typer.Exit
    return asked


@app.callback()
def _options(
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and end."
    ),
    with_: list[str] = typer.Option(
        [],
        "--with",
        help="A module of your own (a name, or a file.py) that registers tasks, objectives, "
        "potentials or kinds of data; repeat for several.",
    ),
) -> None:
    """Import what stands before the subcommand is to know; `main` reads `--debug`."""
    plugins.load_installed()
    plugins.load(with_)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return 0 on success, 2 on a wrong request, 1 on a failure in the work.

    130, as shells expect, if it was asked to stop.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    try:
        with carried_out(arguments):
            app(arguments)
    except SystemExit as exit_:  # how the parser reports its own verdict
        return exit_.code if isinstance(exit_.code, int) else 0
    except Interrupted as error:
        print(f"discovery: {error}", file=sys.stderr)
        return 130
    except RequestError as error:
        return _fail(error, 2, debug)
    except Exception as error:
        return _fail(error, 1, debug)
    return 0


def _fail(error: Exception, status: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
        return status
    line = " ".join(str(error).split()) or "it gave no reason"
    hint = "" if status == 2 else f" ({type(error).__name__}; --debug shows where)"
    print(f"discovery: {line}{hint}", file=sys.stderr)
    return status
