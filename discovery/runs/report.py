"""The page of a run, in Markdown, with its figures beside it."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import jax

from discovery.config import Config
from discovery.runs.log import Line
from discovery.statistics import number

if TYPE_CHECKING:
    from discovery.runs.finish import Result


def page(config: Config, lines: Sequence[Line], result: "Result") -> str:
    """Return the text of the report."""
    return "\n".join(_parts(config, lines, result)) + "\n"


def verdict(result: "Result") -> str:
    """Say in a sentence what came out, with the numbers, whether it pleases or not."""
    first, row, *_ = result.table().rows
    other, baseline, found, gain = first.name.upper(), first.mean, row.mean, row.gap
    assert gain is not None
    if result.selected == "start":
        return (
            "The search found nothing better than where it started, which is ORPO in this "
            f"family: {found} against {baseline} of {other}."
        )
    clear = gain.low > 0 or gain.high < 0
    words = "more" if gain.mean > 0 else "less"
    return (
        f"The objective found earns {found}, {other} {baseline}: {number(abs(gain.mean))} "
        f"{words} (95 % interval {number(gain.low)} to {number(gain.high)}, p = {gain.p:.2g}, "
        f"{found.seeds} seeds)" + ("." if clear else ", which these seeds do not tell from chance.")
    )


def _parts(config: Config, lines: Sequence[Line], result: "Result") -> Iterable[str]:
    yield f"# {config.about or config.task.name}\n"
    yield verdict(result) + "\n"
    yield "## What it is worth\n"
    yield (
        f"Mean true return of {config.evaluation.seeds} agents for each objective, "
        f"{config.evaluation.episodes:,} episodes an agent, on another draw of the data and with "
        "other seeds than those the search saw; ± is a standard error. Differences are paired "
        "by seed, with a 95 % bootstrap interval and a paired t test. The objectives compared "
        "with have their default settings: none was tuned here.\n"
    )
    yield result.table().markdown()
    yield "\n## The search\n"
    yield "![Fitness over generations](figures/search.png)\n"
    asked = config.search
    yield (
        f"{asked.strategy}, {asked.population} members, {len(lines)} generations, "
        f"σ {asked.sigma:g}, in {lines[-1]['seconds'] / 60:.1f} minutes on "
        f"{jax.device_count()} devices ({jax.devices()[0].device_kind}). At the end "
        f"**{result.selected}** was selected, by agents from other seeds:\n"
    )
    yield "| candidate | return |\n|---|---|"
    for name, mean in result.candidates.items():
        yield f"| {name} | {mean} |"
    yield "\n## Its landscape\n"
    yield "![How hard it pulls and pushes, beside ORPO](figures/landscape.png)\n"
    yield "## How it was made\n"
    yield (
        f"Seed {config.seed}; everything else is in `config.json`, the numbers of every "
        "generation in `metrics.jsonl`, those of every agent compared in `results.json`.\n"
    )
    yield '```python\nimport mpo\nloss = mpo.objective("path/of/this/folder")\n```'
