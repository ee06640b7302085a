"""`discovery train`: one agent, by any algorithm."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from discovery.cli.output import JSON, show_json, show_table
from mpo.errors import RequestError

SHOWN = ("graded", "reward", "kl_reference", "ratio", "no_signal", "samples")


def train(
    task: str = typer.Option(..., help="Where the agent acts: see `discovery list`."),
    algorithm: str = typer.Option(
        ..., help="How it is trained: an algorithm of `discovery list`, or a loss on fixed data."
    ),
    seed: int = typer.Option(0, help="Of the agent: prompts, samples and minibatches."),
    set_: list[str] = typer.Option(
        [],
        "--set",
        help="A setting on top: objective.beta=0.05, training.regime.kl=0.01, "
        "training.hyper.learning_rate=0.1, task.settings.reward=aligned; repeat for several.",
    ),
    out: Path | None = typer.Option(
        None, help="Folder that keeps the agent and all rounds; the same command goes on in it."
    ),
    quiet: bool = typer.Option(False, help="Show no progress."),
    as_json: bool = JSON,
) -> None:
    """Train one agent under any algorithm, on policy or on fixed data; watch it, and save it.

    Example: discovery train --task token_bandit --algorithm ppo
    """
    from discovery import algorithms, config, plugins
    from discovery.host import startup

    if seed < 0:
        raise RequestError(f"--seed is {seed}: it must be at least 0")
    startup.host_devices()
    startup.compilation_cache()
    changes = dict(config.setting(text) for text in set_)
    described, objective = algorithms.described(algorithm, task, changes)
    plugins.load(described.plugins)
    told = _watch(quiet or as_json)
    found = algorithms.carry_out(described, objective, seed, out, told)
    record = {"algorithm": algorithm, **found.record}
    if as_json:
        show_json(record)
        return
    rows = [(name, _text(value)) for name, value in record.items() if not isinstance(value, dict)]
    show_table("", ("what", "value"), rows)
    if out is not None:
        print(f"\nThe agent, its record and all rounds are in {out}.")


def _watch(quiet: bool) -> Any:
    """Return what prints a line for each stretch of rounds: at first, at last, twice a second."""
    last = [0.0]

    def told(done: int, rounds: int, seen: Mapping[str, float]) -> None:
        now = time.monotonic()
        if quiet or (now - last[0] < 0.5 and done < rounds):
            return
        last[0] = now
        said = "  ".join(f"{name} {_text(seen[name])}" for name in SHOWN if name in seen)
        print(f"round {done} of {rounds}  {said}", file=sys.stderr, flush=True)

    return told


def _text(value: Any) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else str(value)
