"""`discovery bench`: what a discovery costs on this machine, and where its time goes."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from discovery.cli.output import JSON, show_json, show_table
from mpo.errors import RequestError

if TYPE_CHECKING:
    from benchmarks.report import Report


def bench(
    task: str = typer.Option("hopper", help="The task: see `discovery list`."),
    parts: str = typer.Option(
        "",
        help="Parts to measure, with commas between: train, ways, rollouts, generation, growth, "
        "torch, evosax, compile, memory, paper.",
        show_default="all but paper, which an accelerator adds",
    ),
    quick: bool = typer.Option(
        False, "--quick", help="A glance: train, generation and torch, small, on random arrays."
    ),
    paper: bool = typer.Option(
        False, "--paper", help="Also a generation of the paper's size: a day on two cores."
    ),
    synthetic: bool = typer.Option(
        False, "--synthetic", help="Random arrays in place of a dataset; no time depends on them."
    ),
    as_json: bool = JSON,
) -> None:
    """Measure training, acting, generations, compiling and memory, beside PyTorch and evosax.

    Every ratio is of candidates that took turns in this one run. What is compiled is kept, as
    in a discovery, so a second run is quicker.

    Example: discovery bench --quick --parts train,generation
    """
    import dataclasses
    import os

    from discovery.host import startup

    find_benchmarks()
    # Processes of this benchmark share the memory of an accelerator with it.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    startup.host_devices()
    startup.compilation_cache()
    import jax

    from benchmarks.report import chosen, measure
    from benchmarks.workload import QUICK, Setting

    named = [name.strip() for name in parts.split(",") if name.strip()]
    platform = jax.default_backend()
    asked = chosen(named, platform, quick=quick, paper=paper)
    sizes = Setting(**QUICK) if quick else Setting().on(platform)
    setting = dataclasses.replace(sizes, task=task, synthetic=sizes.synthetic or synthetic)
    report = measure(asked, setting, say=lambda line: print(line, file=sys.stderr, flush=True))
    if as_json:
        show_json(report.as_json())
    else:
        _show(report)


def find_benchmarks(root: Path = Path(__file__).parents[2]) -> None:
    """Let `benchmarks` be imported, which is beside the packages in the project's source.

    Raises:
      RequestError: it is not there.
    """
    if not (root / "benchmarks" / "report.py").is_file():
        raise RequestError(
            "benchmarks are not part of the installed package: get the project's source, and in "
            "it run pip install -e . and discovery bench"
        )
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))


def _show(report: "Report") -> None:
    print(report.machine)
    for name, table in report.tables.items():
        print(f"\n{name}: {table.about}")
        show_table("", ("", *table.columns()), table.cells())
        for note in table.notes:
            print(f"  {note}")
    for name, reason in report.skipped.items():
        print(f"\n{name}: not measured, {reason}")
    print(f"\n{report.seconds:.0f} s in all")
