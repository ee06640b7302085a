"""`discovery finetune`: a language model under several objectives, compared."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from discovery.cli.invocation import typed
from discovery.cli.output import JSON, show_json
from discovery.host.stopping import Interrupted

if TYPE_CHECKING:
    from llm_transfer.experiment.ledger import Result


def finetune(
    out: Annotated[
        Path, typer.Option(help="Folder for results; the same command continues what is there.")
    ],
    objective: Annotated[
        list[str],
        typer.Option(
            help="A name or path, with settings if wanted (dpo:beta=0.5), or found/*; repeat."
        ),
    ],
    model: Annotated[
        str, typer.Option(help="The model to fine-tune: a folder, a hub id, or tiny.")
    ] = "tiny",
    data: Annotated[
        str, typer.Option(help="Preference rows: a .jsonl file, a folder or hub id, or tiny.")
    ] = "tiny",
    weak_model: Annotated[
        str | None, typer.Option(help="Whose responses the fault puts in.")
    ] = None,
    shuffled: Annotated[
        float, typer.Option(help="Share of the responses that are the weaker model's.")
    ] = 0.0,
    relabel: Annotated[
        bool, typer.Option(help="Let the judge rank the pairs again after that.")
    ] = False,
    judge: Annotated[
        str | None,
        typer.Option(help="language, or a reward model.", show_default="language with tiny data"),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Fine-tunings of each objective.")] = 5,
    learning_rate: Annotated[
        float | None, typer.Option(help="Of every objective, unless tuned.")
    ] = None,
    tune: Annotated[
        list[float] | None,
        typer.Option(help="A learning rate to choose from for each objective; repeat."),
    ] = None,
    tune_seeds: Annotated[int, typer.Option(help="Seeds of each of those.")] = 2,
    select: Annotated[
        str | None,
        typer.Option(help="What chooses: reward, win_rate or accuracy on validation rows."),
    ] = None,
    rows: Annotated[int, typer.Option(help="Rows to train on, at most.")] = 1000,
    held_out: Annotated[int, typer.Option(help="Rows to validate and to test on.")] = 256,
    epochs: Annotated[int, typer.Option(help="Passes over the rows.")] = 1,
    batch: Annotated[int, typer.Option(help="Pairs in a batch.")] = 16,
    accumulate: Annotated[int, typer.Option(help="Batches in an update.")] = 1,
    max_length: Annotated[int, typer.Option(help="Tokens of prompt and response.")] = 1024,
    new_tokens: Annotated[int, typer.Option(help="Tokens of a sampled response.")] = 64,
    sample_batch: Annotated[int, typer.Option(help="Responses sampled at a time.")] = 128,
    template: Annotated[
        str | None,
        typer.Option(help="Chat template: a file, or a tokenizer's folder or hub id."),
    ] = None,
    stop: Annotated[
        str | None, typer.Option(help="A token that ends a response, beside the end of text.")
    ] = None,
    trainer: Annotated[str, typer.Option(help="transformers or trl.")] = "transformers",
    lora: Annotated[int, typer.Option(help="Rank of adapters to train; 0: all weights.")] = 0,
    dtype: Annotated[str, typer.Option(help="Of the weights.")] = "float32",
    scale: Annotated[
        str, typer.Option(help="Of the tiny models: test, small, million, shipped.")
    ] = "small",
    threads: Annotated[int, typer.Option(help="Threads of torch; 0: as many as it likes.")] = 0,
    as_json: bool = JSON,
) -> None:
    """Fine-tune a language model on preferences under several objectives, and compare them.

    Interrupt it whenever you like: the same command goes on where it was. The folder holds
    every number (results.jsonl) and the table (summary.json).

    Example: discovery finetune --objective orpo --objective found/bandit-shuffled
    --shuffled 0.5 --tune 1e-4 --tune 3e-4 --tune 1e-3 --out runs/language
    """
    from llm_transfer.experiment import environment

    environment.check()
    environment.prepare(model, data)
    from llm_transfer.experiment.settings import Settings, named
    from llm_transfer.experiment.study import run
    from llm_transfer.experiment.table import markdown, summary
    from llm_transfer.threads import threads as using
    from mpo import treefile

    settings = Settings(
        model=model,
        weak_model=weak_model,
        data=data,
        judge=judge,
        objectives=named(objective),
        seeds=seeds,
        shuffled=shuffled,
        relabel=relabel,
        learning_rate=learning_rate,
        tune=tuple(tune or ()),
        tune_seeds=tune_seeds,
        select=select,
        rows=rows,
        held_out=held_out,
        epochs=epochs,
        batch=batch,
        accumulate=accumulate,
        max_length=max_length,
        new_tokens=new_tokens,
        sample_batch=sample_batch,
        template=template,
        stop=stop,
        trainer=trainer,
        lora=lora,
        dtype=dtype,
        scale=scale,
    )
    try:
        with using(threads), _progress() as report:
            ledger = run(settings, out, report)
    except KeyboardInterrupt as error:
        raise Interrupted("stopped; the same command goes on with what is left") from error
    found = {"command": typed(), **summary(settings, ledger)}
    treefile.replace(out / "summary.json", (json.dumps(found, indent=2) + "\n").encode())
    if as_json:
        show_json(found)
        return
    print(f"mean ± standard error over seeds; learning rate: {found['learning_rate']}\n")
    print(markdown(found))


@contextmanager
def _progress() -> "Iterator[Callable[[int, int, Result], None]]":
    """Show a bar on a terminal's stderr, and a line for each cell elsewhere."""
    from rich import progress
    from rich.console import Console

    console = Console(stderr=True)
    shown = sys.stderr.isatty()
    bar_columns: tuple[Any, ...] = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*bar_columns, console=console, disable=not shown) as bar:
        row = bar.add_task("first cell", total=None)

        def report(done: int, total: int, result: "Result") -> None:
            cell = result.cell
            text = f"{cell.stage} {cell.objective} seed {cell.seed}"
            bar.update(row, completed=done, total=total, description=text)
            if not shown:
                parts = [f"{name} {value:.3f}" for name, value in result.metrics.items()]
                rate = "" if cell.learning_rate is None else f" at {cell.learning_rate:g}"
                line = f"{done}/{total} {text}{rate}: {', '.join(parts) or 'diverged'}"
                print(f"{line} ({result.seconds:.1f} s)", file=sys.stderr, flush=True)

        yield report
