"""Run the command, with the exit statuses of `discovery`."""

import sys
import traceback

import typer

from llm_transfer.experiment.command import experiment
from mpo.errors import RequestError

DEBUG = "--debug"


def main(arguments: list[str] | None = None) -> int:
    """Return 0 on success, 2 on a wrong request, 1 on a failure, 130 if stopped."""
    arguments = sys.argv[1:] if arguments is None else arguments
    debug, arguments = DEBUG in arguments, [a for a in arguments if a != DEBUG]
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(epilog=f"{DEBUG} shows the traceback of an error.")(experiment)
    try:
        app(arguments)
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else 0
    except KeyboardInterrupt:
        print("experiment: stopped; the same command goes on", file=sys.stderr)
        return 130
    except Exception as error:
        if debug:
            traceback.print_exc()
        wrong = isinstance(error, RequestError)
        hint = "" if wrong else f" ({type(error).__name__}; {DEBUG} shows where)"
        print(f"experiment: {' '.join(str(error).split())}{hint}", file=sys.stderr)
        return 2 if wrong else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
