"""`discovery data`: make, import and look at preference datasets."""

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from discovery.cli.output import JSON, show_json, show_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from envs.data import Dataset, Statistics
    from envs.data.origin import Origin
    from envs.judge import Grading, Judge

app = typer.Typer(
    help="Preference datasets: comparisons with a known fault, or your own.",
    no_args_is_help=True,
)


@app.command()
def make(
    out: Annotated[Path, typer.Option(help="File to write, such as d.npz.")],
    task: str = typer.Option("hopper", help="The task: see `discovery list`."),
    kind: str = typer.Option(
        "base", help="What is wrong with it, noisy or noisy+scarce: see `discovery list`."
    ),
    rows: int | None = typer.Option(None, help="Comparisons; by default as many as in the paper."),
    expert: str = typer.Option("expert", help="The expert: expert, hopper/1800, or a path."),
    reference: str | None = typer.Option(
        None, help="The reference agent; by default that of task and kind."
    ),
    flip: float | None = typer.Option(
        None, help="Share of rankings that are reversed; by default the kind's."
    ),
    exact: bool = typer.Option(
        True, help="Reverse exactly that share of the rankings, or toss a coin for each."
    ),
    spread: float | None = typer.Option(
        None, help="Log-std of all authors' actions, in place of their own."
    ),
    share: float | None = typer.Option(
        None, help="Share of the rows that have the expert at all; by default the kind's."
    ),
    judge: str | None = typer.Option(
        None,
        help="The judge's temperature: perfect, low, medium or high; default: the kind's. Or what "
        "it goes by in place of true returns, FILE.py:FUNCTION.",
    ),
    temperature: float | None = typer.Option(
        None, help="The judge's temperature, in units of return, in place of a level."
    ),
    responses: int = typer.Option(2, help="Responses that each comparison ranks."),
    horizon: int | None = typer.Option(
        None, help="Steps or tokens in a response; by default the task's."
    ),
    seed: int = typer.Option(0, help="Seed of all that is random."),
    as_json: bool = JSON,
) -> None:
    """Let agents act, and a judge rank them; the same request gives the same file."""
    from discovery.host import startup
    from envs import data

    startup.compilation_cache()
    settings: dict[str, Any] = {} if horizon is None else {"horizon": horizon}
    with _progress() as report:
        dataset = data.make(
            task,
            kind,
            out=out,
            report=report,
            rows=rows,
            responses=responses,
            expert=expert,
            reference=reference,
            judge=judge,
            temperature=temperature,
            flip=flip,
            exact=exact,
            spread=spread,
            share=share,
            seed=seed,
            **settings,
        )
    _print(out, dataset, as_json)


@app.command(name="import")
def import_(
    source: Annotated[
        Path,
        typer.Argument(
            help="A file: .jsonl, .parquet, .npz, .hdf5; or the folder of a Hugging Face dataset "
            "(save_to_disk) or of Minari."
        ),
    ],
    out: Annotated[Path, typer.Option(help="File to write, such as d.npz.")],
    task: str | None = typer.Option(None, help="The task it is of: see `discovery list`."),
    columns: Annotated[
        list[str] | None,
        typer.Option(help="What is called otherwise than usual, chosen=COLUMN; several times."),
    ] = None,
    split: str | None = typer.Option(
        None, help="Split of a Hugging Face dataset; by default train."
    ),
    steps: int | None = typer.Option(
        None, help="Cut trajectories into segments of so many steps; by default they are whole."
    ),
    rows: int | None = typer.Option(
        None, help="Pairs of trajectories; by default each segment is in one."
    ),
    judge: str | None = typer.Option(
        None,
        help="Rank anew: by true returns (perfect, low, medium, high), or by FILE.py:FUNCTION. "
        "Trajectories are ranked by what they earned, if nothing is said.",
    ),
    temperature: float | None = typer.Option(
        None, help="That judge's temperature, in units of what it goes by."
    ),
    flip: float | None = typer.Option(None, help="Share of that judge's rankings reversed."),
    horizon: int | None = typer.Option(
        None, help="Steps or tokens in a response; by default the task's."
    ),
    vocabulary: int | None = typer.Option(None, help="Number of tokens, for arrays of tokens."),
    seed: int = typer.Option(0, help="Seed of that judge, and of who is compared with whom."),
    as_json: bool = JSON,
) -> None:
    """Check preferences of your own, and write them as a dataset.

    Pairs are rows of prompt, chosen and rejected (token ids), or of chosen_observations,
    chosen_actions, rejected_observations and rejected_actions; true returns, if they are known, are
    chosen_reward and rejected_reward. Trajectories have observations, actions, rewards, terminals
    and timeouts. For arrays see envs.data.from_arrays.
    """
    from envs import data

    dataset = data.from_file(
        source,
        task,
        columns=_named(columns or []),
        split=split,
        steps=steps,
        rows=rows,
        judge=judge,
        temperature=temperature,
        flip=flip,
        seed=seed,
        vocabulary=vocabulary,
        **({} if horizon is None else {"horizon": horizon}),
    )
    dataset.save(out)
    _print(out, dataset, as_json)


def _named(columns: "Iterable[str]") -> dict[str, str]:
    """Return columns by what they hold, of words such as chosen=COLUMN."""
    from mpo.errors import RequestError

    found = {}
    for words in columns:
        role, sign, name = words.partition("=")
        if not (role and sign and name) or role in found:
            raise RequestError(f"--columns {words!r} must be WHAT=COLUMN, each once")
        found[role] = name
    return found


@app.command()
def show(
    file: Annotated[Path, typer.Argument(help="A dataset.")],
    figure: Annotated[
        Path | None, typer.Option(help="Picture to write: .png, .pdf or .svg.")
    ] = None,
    as_json: bool = JSON,
) -> None:
    """Show counts, returns of winners and losers, and how often the labels are right."""
    from envs import data
    from envs.data.summary import picture

    dataset = data.load(file)
    if figure is not None:
        picture(dataset, figure)
    _print(file, dataset, as_json)


def _print(path: Path, dataset: "Dataset", as_json: bool) -> None:
    import dataclasses

    from envs import data

    found = data.statistics(dataset)
    if as_json:
        about = dataset.about.as_json()
        own = {"fingerprint": dataset.fingerprint, "about": about}
        show_json({"file": str(path), **dataclasses.asdict(found), **own})
        return
    for name, value in _lines(path, dataset, found):
        print(f"{name:9}{value}")
    if found.meetings:
        print()
        rows: list[tuple[str, ...]] = [
            (
                one.better,
                one.worse,
                f"{one.pairs:,}",
                "" if one.right is None else f"{one.right:.1%}",
            )
            for one in found.meetings
        ]
        show_table("who was ranked above whom", ("better", "worse", "pairs", "rightly"), rows)


def _lines(path: Path, dataset: "Dataset", found: "Statistics") -> "Iterator[tuple[str, str]]":
    about = dataset.about
    yield "file", f"{path}, {path.stat().st_size / 1e6:,.1f} MB"
    yield "task", about.task or "not one of this package"
    yield "rows", f"{found.rows:,} comparisons of {found.responses} responses"
    yield "steps", f"{found.steps:,} at most, {found.mean_length:,.1f} on average"
    for name, returns in (("winners", found.winners), ("losers", found.losers)):
        if returns is not None:
            yield (
                name,
                f"return {returns.mean:,.4g} ± {returns.std:,.3g} "
                f"({returns.least:,.4g} to {returns.most:,.4g})",
            )
    if found.right is not None:
        expected = found.expected_right
        yield (
            "labels",
            f"{found.right:.1%} right"
            + ("" if expected is None else f" ({expected:.1%} expected of the judge)"),
        )
    if about.recipe is not None:
        recipe = about.recipe
        yield "kind", f"{recipe.kind}: {recipe.expert.name} and {recipe.reference.name}"
        words = _judge(recipe.judge, recipe.grading)
        share = (found.flipped or 0) / found.rows
        yield "judge", f"{words}, {found.flipped:,} rankings flipped ({share:.1%})"
        if found.expert_rows is not None:
            share = found.expert_rows / found.rows
            yield "expert", f"in {found.expert_rows:,} rows ({share:.1%})"
        if recipe.spread is not None:
            yield "spread", f"log-std {recipe.spread:g}, of all authors"
        yield "recipe", f"{recipe.digest[:16]}, seed {recipe.seed}"
    if about.origin is not None:
        yield from _origin(about.origin)


def _origin(origin: "Origin") -> "Iterator[tuple[str, str]]":
    """Say where an imported dataset is from, what was left out, and who ranked it."""

    def counts(found: "Mapping[str, int]") -> str:
        return ", ".join(f"{count:,} {what}" for what, count in found.items())

    yield "source", f"{origin.source}, {origin.form}: {counts(origin.read)} read"
    yield "left out", counts(origin.dropped) or "nothing"
    if origin.judge is None:
        yield "judge", "as the source has it"
    else:
        flip = f", {origin.judge.flip:.1%} flipped" if origin.judge.flip else ""
        yield "judge", f"{_judge(origin.judge, origin.grading)}{flip}; seed {origin.seed}"


def _judge(judge: "Judge", grading: "Grading | None") -> str:
    words = "perfect" if judge.temperature is None else f"temperature {judge.temperature:.4g}"
    if grading is None:
        return words
    return f"{words}, by {grading.place} (sha256 {grading.sha256[:8]})"


@contextmanager
def _progress() -> "Iterator[Callable[[int, int], None]]":
    """Show a bar on a terminal's stderr, and nothing elsewhere."""
    from rich import progress
    from rich.console import Console

    columns: tuple[Any, ...] = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with progress.Progress(*columns, console=console, disable=not sys.stderr.isatty()) as bar:
        row = bar.add_task("compiling", total=None)

        def report(done: int, rows: int) -> None:
            bar.update(row, completed=done, total=rows, description="rows" if done else "compiling")

        yield report
