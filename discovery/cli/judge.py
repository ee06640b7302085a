"""`discovery judge`: any loss on sealed situations, beside the hand-made ones."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from discovery.cli.invocation import plugins, typed
from discovery.cli.output import JSON, show_json, show_table
from mpo.errors import RequestError

if TYPE_CHECKING:
    from discovery.judging.sealed import SealedSet
    from discovery.judging.verdict import Row


def judge(
    loss: str | None = typer.Argument(
        None,
        help="A file.py that defines loss(logp, length, ref_logp=None, reward=None) of one "
        "comparison, or registers an mpo.Objective; or the name of a loss.",
    ),
    task: str = typer.Option("token_bandit", help="token_bandit, or hopper, which takes longer."),
    out: Path | None = typer.Option(
        None,
        help="Folder for judged.json and every return; the same command goes on in it.",
        show_default="runs/judge/LOSS-HASH-TASK",
    ),
    seconds: float = typer.Option(60.0, help="For the file to be imported and checked."),
    minutes: float = typer.Option(120.0, help="For all of the trainings."),
    memory: float = typer.Option(8.0, help="GiB that the file and its trainings may take."),
    discogen: Path | None = typer.Option(
        None,
        help="Judge nothing: write the public faults into this folder, as a domain of DiscoGen.",
    ),
    as_json: bool = JSON,
) -> None:
    """Score any loss, tuned alike, on sealed situations that nothing here was chosen by.

    The file is imported in a process of its own, with limits; a loss that cannot work is refused
    in one line. Two commands give the same numbers.

    Example: discovery judge my_loss.py
    """
    if discogen is not None:
        if loss is not None:
            raise RequestError(f"--discogen judges nothing: leave out {loss}")
        from discovery.judging.discogen import write

        print(write(discogen))
        return
    if loss is None:
        raise RequestError("which loss? name one, or a file.py that has one")
    from discovery.judging import verdict
    from discovery.judging.child import Limits
    from discovery.judging.sealed import sealed

    limits = Limits(seconds, minutes, memory)
    chosen = sealed(task)
    folder = out or Path("runs") / "judge" / f"{verdict.folder(loss)}-{task}"
    record = verdict.judge(loss, chosen, folder, limits, _say, plugins(), typed())
    if as_json:
        show_json(record)
        return
    _show(record, chosen)
    print(f"\n{folder / verdict.RECORD}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _show(record: dict[str, Any], sealed: "SealedSet") -> None:
    from discovery.evidence.statistics import number, signed
    from discovery.judging import verdict

    table = verdict.rows(record, verdict.standing(sealed))
    shown = []
    for place, row in enumerate(table, 1):
        gap = row.gap
        more = f"{signed(gap.mean)} [{number(gap.low)}, {number(gap.high)}]" if gap else "judged"
        by_mean = "" if row.by_mean is None else number(row.by_mean)
        shown.append((str(place), row.name, ", ".join(row.reads), str(row.score), by_mean, more))
    title = f"{sealed.task}, sealed set {sealed.version}: share of the expert's return"
    show_table(title, ("", "loss", "reads", "score [95 %]", "mean action", "judged − this"), shown)
    if len(table) == 1:
        print("No hand-made losses were measured on this set.")
    own = next(row for row in table if row.gap is None)
    best = max((row for row in table if row.gap is not None), key=_score, default=own)
    places = [(at, number(s), number(best.shares[at])) for at, s in own.shares.items()]
    show_table("\nby situation", ("what is wrong with the data", own.name, best.name), places)


def _score(row: "Row") -> float:
    return row.score.mean
