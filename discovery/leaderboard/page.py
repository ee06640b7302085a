"""The page of the board: a figure and a table for each task and action, and every cell in full."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from discovery.config.sections import MEAN, SAMPLED
from discovery.evidence import markdown, tuning
from discovery.evidence.statistics import number, signed
from discovery.leaderboard import figure, standing
from discovery.leaderboard.board import Board, Ground, Loss
from discovery.leaderboard.making import Results
from discovery.leaderboard.standing import AGAINST, Standing
from discovery.report.page import Page

BY = {SAMPLED: "by sampled actions", MEAN: "by the mean action"}
NOT_MEASURED = "·"

Columns = Mapping[str, Mapping[str, Standing]]


def page(board: Board, results: Results) -> Page:
    """Draw the figures, and return the page of what is measured."""
    parts = [part for ground in board.grounds for part in _ground(board, results, ground)]
    left = any(
        results.cell(ground, loss, fault) is None
        for ground in board.grounds
        for losses, faults in [board.of(ground)]
        for loss in losses
        for fault in faults
    )
    return Page("Leaderboard", [_method(), *parts], results.folder, not left)


def details(board: Board, results: Results) -> Page:
    """Return the page with every cell in full: settings, intervals, comparisons."""
    parts = []
    for ground in board.grounds:
        losses, faults = board.of(ground)
        for fault in faults:
            for action in standing.actions(results, board, ground):
                if own := standing.column(results, ground, fault, losses, action):
                    parts += [f"## {ground.about}: {fault.name}, {BY[action]}", _cells(own)]
    return Page("Leaderboard, every cell", parts, results.folder, True)


def columns(board: Board, results: Results, ground: Ground, action: str) -> Columns:
    """Return the standings of a task by fault, without faults of which nothing is measured."""
    losses, faults = board.of(ground)
    found = {
        fault.name: standing.column(results, ground, fault, losses, action) for fault in faults
    }
    return {name: own for name, own in found.items() if own}


def order(losses: Sequence[Loss], found: Columns) -> list[str]:
    """Return the losses that are measured, best mean share first; those with fewer cells later."""
    names = [loss.name for loss in losses if any(loss.name in own for own in found.values())]

    def place(name: str) -> tuple[int, float]:
        own = [column[name].share for column in found.values() if name in column]
        return -len(own), -sum(own) / len(own)

    return sorted(names, key=place)


def _method() -> str:
    return (
        "Every loss in every column is tuned by the same number of trainings: its settings as "
        "they stand and further points, in three boxes of which the later are around the best so "
        "far, on one draw of the data; the best by sampled actions "
        "and the best by the mean action again, by fresh agents on another draw. What is shown "
        "are agents on four further draws that chose nothing. A cell is the mean return, in "
        "brackets its share of the expert's return by the same action; an agent that failed has "
        f"earned nothing. Where a loss is compared with `{AGAINST}`, pairs share draw, first "
        "weights, minibatches and episodes, and the unit is the draw: intervals are Student's "
        "over draws, p-values adjusted by Holm's method over the column. Losses with a reference "
        "begin after an SFT of the same data at its own tuned rate; losses that read rewards are "
        "ceilings, and get them in units of their deviation. A dot is a cell that is not measured."
    )


def _ground(board: Board, results: Results, ground: Ground) -> Iterator[str]:
    losses, _ = board.of(ground)
    found = {
        action: columns(board, results, ground, action)
        for action in standing.actions(results, board, ground)
    }
    if not any(found.values()):
        return
    yield f"## {ground.about}"
    path = results.folder / "figures" / f"{ground.name}.png"
    figure.heat_map(
        {BY[action]: own for action, own in found.items()},
        order(losses, next(iter(found.values()))),
        {loss.name: loss.group for loss in losses},
        path,
        f"{ground.about}: colour is the share of the expert's return, the number is the rank",
    )
    yield markdown.figure(f"{ground.about}: share of the expert, and rank", f"figures/{path.name}")
    yield (
        f"{ground.points * len(tuning.BOXES)} points of each loss; "
        f"{ground.draws} draws of the data with {ground.agents} to {2 * ground.agents} agents "
        f"each, {ground.episodes:,} episodes an agent."
    )
    yield _data(board, results, ground)
    for action, own in found.items():
        yield f"### {ground.about}, {BY[action]}"
        yield _table(losses, own)


def _data(board: Board, results: Results, ground: Ground) -> str:
    """Return what the data of each column are: counts of one draw, and what the authors earn."""
    rows = []
    for fault in board.of(ground)[1]:
        about = results.column(ground, fault)
        if about is None:
            continue
        drawn, *_ = about["data"]
        expert, *poor = [" / ".join(map(number, own.values())) for own in about["authors"].values()]
        rows.append(
            [
                markdown.escaped(fault.name),
                markdown.escaped(fault.about),
                f"{drawn['rows']:,}",
                f"{drawn['flipped']:,}",
                f"{drawn['expert_rows']:,}",
                expert,
                ", ".join(poor),
            ]
        )
    titles = ["data", "what is wrong", "rows", "flipped", "with the expert"]
    return markdown.table([*titles, "expert earns (sampled / mean)", "the other author"], rows)


def _table(losses: Sequence[Loss], found: Columns) -> str:
    groups = {loss.name: loss.group for loss in losses}
    return markdown.table(
        ["loss", "reads", *map(markdown.escaped, found)],
        [
            [
                markdown.escaped(name),
                groups[name],
                *[_cell(own.get(name)) for own in found.values()],
            ]
            for name in order(losses, found)
        ],
    )


def _cell(own: Standing | None) -> str:
    if own is None:
        return NOT_MEASURED
    text = f"{number(own.estimate.mean)} ({own.share:.0%})"
    return f"**{text}**" if own.rank == 1 else text


def _cells(found: Mapping[str, Standing]) -> str:
    titles = ["loss", "mean [95 %]", "share", "log-std", f"more than {AGAINST} [95 %]", "p (Holm)"]
    return markdown.table(
        [*titles, "settings"],
        [
            [
                markdown.escaped(name),
                str(own.estimate),
                f"{own.share:.1%}",
                "" if own.log_std is None else f"{own.log_std:.2f}",
                _gap(own),
                "" if own.gap is None else f"{own.p:.1e}",
                ", ".join(f"{k.split('.')[-1]} {value:.3g}" for k, value in own.point.items()),
            ]
            for name, own in found.items()
        ],
    )


def _gap(own: Standing) -> str:
    gap = own.gap
    if gap is None:
        return ""
    return f"{signed(gap.mean)} [{number(gap.low)}, {number(gap.high)}]"


def write(board: Board, results: Results) -> list[Path]:
    """Write both pages, as Markdown and as HTML; return where they are."""
    from discovery import report

    pages = {"leaderboard": page(board, results), "details": details(board, results)}
    written = []
    for name, one in pages.items():
        for ending in (".md", ".html"):
            written.append(results.folder / f"{name}{ending}")
            report.put(one, written[-1])
    return written
