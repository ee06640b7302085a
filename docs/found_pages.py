"""Write a page for every objective that ships: picture, formula, where it wins, where not, code.

python docs/found_pages.py FOLDER

The site's build calls `pages()`; nothing of it is committed. Numbers come from docs/results.
"""

import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert

import mpo
from discovery.config.sections import SAMPLED
from discovery.evidence import Table
from discovery.evidence.evaluation import ASKED, command, read_table
from discovery.evidence.landscape import Grid, draw
from discovery.evidence.markdown import code, escaped, fenced, table
from discovery.evidence.statistics import number
from discovery.leaderboard import standing
from discovery.leaderboard.board import board
from discovery.leaderboard.making import Results
from discovery.leaderboard.page import BY
from discovery.leaderboard.standing import AGAINST, Standing
from llm_transfer.snippets import latex
from llm_transfer.snippets.exporting import exported
from mpo.artifact.places import SHIPPED

DOCS = Path(__file__).resolve().parent
RESULTS = DOCS / "results"
CEILINGS, FOUND = "reward", "found"
"""Groups of the leaderboard: losses that read the true reward, and losses that were found."""


def own(name: str) -> str:
    """Return the name of an objective that ships without the place it is in."""
    return name.removeprefix(SHIPPED)


def pages() -> Iterator[tuple[str, str]]:
    """Yield the name and the Markdown of every page; links are from docs/found/."""
    for name, about in sorted(mpo.shipped().items()):
        yield own(name), page(name, about)


def page(name: str, about: mpo.Provenance) -> str:
    """Return the page of one objective."""
    kinds = ", ".join(f"{recipe['kind']} data" for recipe in about.data)
    words = {"three_legged_ant": "the three-legged Ant", "hopper": "Hopper"}
    where = words.get(str(about.task), "the token bandit")
    snippet = exported(name, to="torch")
    parts = [
        f"# {code(name)}",
        f"A loss that was found on {where}, {kinds}. What it looks like, where it wins and where "
        "not, and the function to paste.",
        fenced(f'mpo.objective("{name}")', "python"),
        f"Found by {code(str(about.command).partition(' --out')[0])}, with search seed "
        f"{about.seed} and {about.generations} generations. The story of it is in "
        "[objectives that were found](../found.md).",
        "## What it looks like",
        f"![How hard ORPO and {escaped(name)} pull and push]({picture(name)})",
        "How hard a loss pulls on the chosen response (above) and pushes on the rejected one "
        "(below), by the log-probability per step of both. Dots, where there are any, are "
        "comparisons that an agent saw while it trained under the loss.",
        "## The formula",
        *_formula(latex.latex(snippet.formula)),
        "## Where it wins, and where not",
        *_standings(name),
        *_evaluations(name),
        "## The function to paste",
        fenced(f"discovery export {name} --to torch", "sh"),
        "The header says how the text was compared with the objective. `--to jax`, `numpy`, "
        "`latex` and `json` are there as well: [Export](../export.md).",
        fenced(snippet.text, "python"),
    ]
    return "\n\n".join(parts) + "\n"


def picture(name: str) -> str:
    """Return the path of its landscape from docs/found/."""
    drawn = DOCS / "figures" / f"{own(name)}-landscape.png"
    return f"../figures/{drawn.name}" if drawn.exists() else f"{own(name)}.png"


def pictures(folder: Path) -> Iterator[Path]:
    """Draw the landscapes that docs/figures has not, into a folder."""
    for name in mpo.shipped():
        path = folder / f"{own(name)}.png"
        if "/" not in picture(name):
            drawn = {"ORPO": mpo.objective(AGAINST), own(name): mpo.objective(name)}
            draw(drawn, Grid(), path)
            yield path


# --- The formula ----------------------------------------------------------------------------


def _formula(body: str) -> Iterator[str]:
    yield formula(body)
    yield (
        "ℓ is log π of a response, per step; t is the progress of training, from 0 to 1; "
        "`probability` and `logit` are π and log π/(1-π) where π is below 1, and go on smoothly "
        "above it."
        if r"\operatorname{probability}" in body or r"\operatorname{logit}" in body
        else "ℓ is log π of a response, per step."
    )
    yield '??? note "LaTeX"\n\n' + "\n".join(
        f"    {line}" for line in fenced(body, "latex").splitlines()
    )


def formula(lines: str) -> str:
    """Return aligned lines of LaTeX as MathML, which browsers show without a script."""
    inner = lines.strip().removeprefix(r"\begin{aligned}").removesuffix(r"\end{aligned}")
    rows = []
    for line in inner.strip().split(" \\\\\n"):
        left, right = (_mathml(side) for side in line.split("&=", 1))
        cells = (f'<mtd style="text-align: right">{left}</mtd>', "<mtd><mo>=</mo></mtd>")
        rows.append(f'<mtr>{"".join(cells)}<mtd style="text-align: left">{right}</mtd></mtr>')
    shown = f'<math display="block"><mtable displaystyle="true">{"".join(rows)}</mtable></math>'
    return f'<div class="formula">{shown}</div>'


def _mathml(text: str) -> str:
    words = re.sub(
        r"\\operatorname\{([^}]*)\}",
        lambda found: r"\text{" + found[1].replace(r"\_", " ") + "}",
        text.strip(),
    )
    inner = re.sub(r"^<math[^>]*>|</math>$", "", convert(words))
    return str(inner)


# --- Where it wins --------------------------------------------------------------------------


@cache
def _board() -> dict[tuple[str, str, str], tuple[dict[str, Standing], dict[str, str]]]:
    """Return the columns of the leaderboard by task, data and action, and what losses read."""
    whole, results = board(), Results(RESULTS / "leaderboard")
    found = {}
    for ground in whole.grounds:
        losses, faults = whole.of(ground)
        groups = {loss.name: loss.group for loss in losses}
        for fault in faults:
            for action in reversed(standing.actions(results, whole, ground)):
                column = standing.column(results, ground, fault, losses, action)
                found[ground.about, fault.name, action] = column, groups
    return found


def _standings(name: str) -> Iterator[str]:
    """Yield what the leaderboard says: in words, and as a table."""
    above, between, below, rows = [], [], [], []
    for (ground, fault, action), (column, groups) in _board().items():
        if name not in column or AGAINST not in column:
            continue
        mine, orpo = column[name], column[AGAINST]
        by_hand = [n for n in column if groups[n] not in (CEILINGS, FOUND)]
        best = by_hand[0]
        place = 1 + sum(column[n].estimate.mean > mine.estimate.mean for n in by_hand)
        rows.append(
            [
                escaped(ground),
                escaped(fault),
                action,
                f"{mine.estimate} ({mine.share:.0%})",
                number(orpo.estimate.mean),
                f"{code(best)} {number(column[best].estimate.mean)}",
                f"{place} of {len(by_hand) + 1}",
            ]
        )
        said = f"{ground}, {fault}" + ("" if action == SAMPLED else f" ({BY[action]})")
        better = mine.estimate.mean > orpo.estimate.mean
        (above if place == 1 else between if better else below).append(escaped(said))
    if not rows:
        yield (
            "It is not on the [leaderboard](../leaderboard.md), where every loss is tuned at one "
            "budget. What is known of it are evaluations on one draw of the data."
        )
        return
    yield (
        "On the [leaderboard](../leaderboard.md), where losses made by hand are tuned at the same "
        "budget, by the mean over four draws of the data:"
    )
    said = {
        "above every loss made by hand that was measured there": above,
        "above ORPO, and below another": between,
        "below ORPO": below,
    }
    yield "\n".join(f"- **{how}**: {'; '.join(ones) or 'nowhere'}." for how, ones in said.items())
    titles = ["task", "data", "action", "this loss [95 %], of the expert", "ORPO"]
    yield table([*titles, "best made by hand", "place"], rows)
    yield (
        "The place is among losses made by hand that do not read the true reward, with this one. "
        "An interval is over draws."
    )


@cache
def _tables() -> list[tuple[Path, Table]]:
    return [(path.parent, read_table(path.parent)) for path in sorted(RESULTS.rglob(ASKED))]


def _evaluations(name: str) -> Iterator[str]:
    """Yield the evaluations on one draw of the data in which it is compared with ORPO."""
    rows, commands = [], set[str]()
    for folder, found in _tables():
        first, mine = found.rows[0], next((r for r in found.rows if r.name == name), None)
        if mine is None or mine.gap is None or first.name != AGAINST:
            continue
        gap: Any = mine.gap
        level = next((v for k, v in found.levels.items() if k.startswith("expert")), None)
        rows.append(
            [
                code(str(folder.relative_to(RESULTS)).replace("/rows/", "/")),
                str(mine.mean),
                f"{first.mean} ({first.note or 'as it is'})",
                f"{gap.mean:+,.3g} ({number(gap.low)} to {number(gap.high)})",
                str(mine.mean.seeds),
                "" if level is None else number(level),
            ]
        )
        commands.add(command(folder).partition(" --only")[0])
    if not rows:
        return
    yield (
        "Evaluations on one draw of the data each, against ORPO, by sampled actions. The unit is "
        "the agent. Folders are in `docs/results`."
    )
    titles = ["evaluation", "this loss", "ORPO", "more than ORPO (95 %)", "agents", "expert"]
    yield table(titles, rows)


def main(folder: Path) -> None:
    """Write all pages, and the pictures that docs/figures has not."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages():
        (folder / f"{name}.md").write_text(text)
        print(folder / f"{name}.md")
    for path in pictures(folder):
        print(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
