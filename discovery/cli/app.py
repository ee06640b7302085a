"""The root of the command and what its subcommands share: exit status, one-line errors, `--json`."""

import sys
import traceback

import click
import typer

from mpo.errors import RequestError

app = typer.Typer(
    name="discovery",
    help="Discover preference-optimization losses: from preference data with a fault to a loss.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def _options(
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
) -> None:
    """Hold the options that stand before the subcommand; `main` reads them."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return 0 on success, 2 on a wrong request, 1 on a failure in the work."""
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    try:
        result = app(arguments, standalone_mode=False)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        return 130
    except RequestError as error:
        return _fail(error, 2, debug)
    except Exception as error:
        return _fail(error, 1, debug)
    return result if isinstance(result, int) else 0


def _fail(error: Exception, status: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    else:
        line = " ".join(str(error).split()) or type(error).__name__
        hint = "" if status == 2 else f" ({type(error).__name__}; --debug shows the traceback)"
        print(f"discovery: {line}{hint}", file=sys.stderr)
    return status


if __name__ == "__main__":
    raise SystemExit(main())
