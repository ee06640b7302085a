"""`discovery leaderboard`: every loss with every fault of the data on every task, tuned alike."""

import sys
from pathlib import Path

import typer

from mpo.errors import RequestError

OUT = typer.Option(Path("runs/leaderboard"), help="Folder of the board; it goes on in it.")


def leaderboard(
    out: Path = OUT,
    task: list[str] = typer.Option([], help="A task of the board; repeat. All by default."),
    loss: list[str] = typer.Option([], help="A loss of the board; repeat. All by default."),
    fault: list[str] = typer.Option([], help="A fault of the board; repeat. All by default."),
    minutes: float | None = typer.Option(
        None, help="After which no further cell is begun; the same command goes on."
    ),
    agents: int | None = typer.Option(None, help="Agents on each draw, in place of the board's."),
    draws: int | None = typer.Option(None, help="Draws of the data, in place of the board's."),
    show: bool = typer.Option(False, "--show", help="Only write the page of what is measured."),
) -> None:
    """Measure every loss with every fault of the data on every task, each tuned at one budget.

    A cell is minutes on two cores, and the board a few nights: it is kept cell by cell, and the
    same command goes on. The page is written at the end, with gaps where nothing is measured.

    Example: discovery leaderboard --task token_bandit --fault shuffled
    """
    import dataclasses

    from discovery.host import startup
    from discovery.leaderboard.board import board

    if (agents is not None and agents < 1) or (draws is not None and draws < 2):
        raise RequestError("a cell needs at least 1 agent on each of at least 2 draws")
    known = board()
    grounds = tuple(
        dataclasses.replace(one, agents=agents or one.agents, draws=draws or one.draws)
        for one in known.grounds
    )
    whole = dataclasses.replace(known, grounds=grounds)
    chosen = whole.chosen(tuple(task), tuple(loss), tuple(fault))
    startup.host_devices()
    startup.compilation_cache()
    from discovery.leaderboard import making, page

    if not show:
        making.measure(chosen, out, _say, minutes)
    for path in page.write(whole, making.Results(out)):
        print(path)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
