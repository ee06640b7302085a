"""`discovery export`: an objective as text to take along."""

import dataclasses
import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from discovery.cli.output import JSON, show_json
from mpo.errors import RequestError

if TYPE_CHECKING:
    from llm_transfer.snippets.exporting import Exported

PROGRAMS = ("torch", "jax", "numpy", "mlx")
"""Exports that are run: each needs the package of its name."""


def export(
    objective: str = typer.Argument(
        help="A name (see `discovery list`), the folder of a run, found/…, or a file."
    ),
    to: str = typer.Option(
        "torch",
        help="torch, jax, numpy, mlx, latex or json; or a trainer: trl, axolotl, openrlhf, "
        "llama-factory, llama-factory-v1, nemo-rl, verl; or chunked, liger, for less memory.",
    ),
    set_: list[str] = typer.Option(
        [], "--set", help="A setting of the objective, such as beta=0.2; repeat for several."
    ),
    out: Path | None = typer.Option(
        None, help="File to write; what was there is replaced.", show_default="print it"
    ),
    as_json: bool = JSON,
) -> None:
    """Print an objective as a function to paste, for a trainer, as LaTeX or as JSON.

    Before that, what is printed is run and compared with the objective, values and gradients,
    at hundreds of points. The result stands in its header; nothing is printed if they differ.

    Example: discovery export orpo --to torch --out orpo_loss.py
    """
    from discovery import config
    from mpo.expressions import look_up

    if out is not None:
        _check(out)
    settings = dict(config.setting(text) for text in set_)
    look_up(objective, **settings)
    if to in PROGRAMS and importlib.util.find_spec(to) is not None:
        print(f"writing {objective}, and comparing", file=sys.stderr, flush=True)
    from llm_transfer.snippets.exporting import exported  # after a word, as it takes seconds

    found = exported(objective, to, **settings)
    if out is not None:
        _write(out, found.text)
    if as_json:
        where = {"text": found.text} if out is None else {"file": str(out)}
        parity = [dataclasses.asdict(one) for one in found.parity]
        show_json({"objective": found.formula.name, "to": to, **where, "parity": parity})
    elif out is None:
        print(found.text, end="")
    else:
        print(f"{out}: {_summary(found)}")


def _summary(found: "Exported") -> str:
    results = (
        f"{one.precision} to {max(one.value, one.gradient or 0.0):.1e}" for one in found.parity
    )
    return f"{found.formula.name}, equal to its objective in {', '.join(results)}"


def _check(out: Path) -> None:
    """Refuse a place that can't be written to before there is work."""
    if os.path.isdir(out):
        raise RequestError(f"cannot write {out}: it is a folder; give the name of a file")
    if not os.path.isdir(out.parent):
        raise RequestError(f"cannot write {out}: there is no folder {out.parent}")


def _write(out: Path, text: str) -> None:
    from mpo import treefile

    try:
        treefile.replace(out, text.encode())
    except OSError as error:
        raise RequestError(f"cannot write {out}: {error.strerror}") from error
