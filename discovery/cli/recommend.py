"""`discovery recommend`: which loss and regime to take for data like these."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from discovery.cli.output import JSON, show_json, show_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from discovery.recommend import Advice, Described
    from discovery.recommend.advice import Choice

_SHOWN = 8
"""Losses in the table, if more are not recommended."""


def recommend(
    file: Path = typer.Argument(
        help="A dataset, as `discovery data make` or `discovery data import` wrote it."
    ),
    action: str | None = typer.Option(
        None,
        help="By which agents are to be good: sampled or mean (of continuous actions).",
        show_default="sampled",
    ),
    score: str | None = typer.Option(
        None,
        help="What tells a good response: learnt, a reward model of the rankings; or reward, the "
        "true rewards in the file. By default these where there are any.",
    ),
    as_json: bool = JSON,
) -> None:
    """Say what these data are like, which measured situation is nearest, and what won there.

    Nothing is trained on your data but a reward model and an imitator, which measure it. The
    evidence is the leaderboard's, and how far it reaches is said; docs/recommend.md has how often
    it was right.

    Example: discovery recommend mine.npz
    """
    from discovery import recommend as recommending
    from discovery.config.sections import ACTIONS, SAMPLED
    from discovery.host import startup
    from envs import data
    from mpo.errors import unknown

    action = action or SAMPLED
    if action not in ACTIONS:
        raise unknown("action", action, ACTIONS)
    dataset = data.load(file)
    startup.compilation_cache()
    described = recommending.describe(dataset, score, _say)
    advice = recommending.advise(
        described, recommending.situations(), action, rewards=dataset.reward is not None
    )
    if as_json:
        show_json(_plain(file, described, advice))
        return
    _print(file, described, advice)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _print(file: Path, described: "Described", advice: "Advice") -> None:
    from discovery.recommend import DESCRIPTORS

    nearest = advice.nearest.situation
    there = nearest.described(described.scored_by)
    spread = "" if described.log_std is None else f", log-std {described.log_std:.2f}"
    print(
        f"{file}: {described.rows:,} comparisons, {described.kind}{spread}; "
        f"scored by {_SCORED[described.scored_by]}\n"
    )
    show_table(
        "what the data are like (± a standard error over rows)",
        ("", "here", nearest.name, "what it is"),
        [
            (name, f"{value:.3f} ± {error:.3f}", f"{other:.3f}", about)
            for (name, about), value, error, other in zip(
                DESCRIPTORS.items(), described.numbers, described.errors, there.numbers, strict=True
            )
        ],
    )
    print()
    show_table(
        "measured situations of such actions, the nearest first",
        ("situation", "distance", "nearest in", "what is wrong there"),
        [
            (one.situation.name, f"{one.distance:.2f}", f"{one.often:.0%}", one.situation.about)
            for one in advice.near
        ],
    )
    print(f"\n{verdict(advice)}\n")
    shown = advice.choices[: max(_SHOWN, len(advice.recommended))]
    show_table(
        f"losses in {' and '.join(one.situation.name for one in advice.considered)}, "
        f"by the action '{advice.action}'",
        ("loss", "take it", "of the expert [95 %]", "reads", "settings there"),
        map(_row, shown),
    )
    print()
    for line in sureness(advice):
        print(line)


_SCORED = {"learnt": "a reward model of the rankings", "reward": "the true rewards in the file"}


def _row(choice: "Choice") -> tuple[str, ...]:
    earned, estimate = choice.earned, choice.earned.estimate
    settings = ", ".join(f"{k.split('.')[-1]} {v:.3g}" for k, v in earned.point.items())
    interval = f"{estimate.mean:.0%} [{estimate.low:.0%}, {estimate.high:.0%}]"
    return choice.name, "yes" if choice.recommended else "", interval, earned.group, settings


def verdict(advice: "Advice") -> str:
    """Return in a sentence whether the data are like anything measured."""
    nearest, reach = advice.nearest, advice.reach
    said = f"{nearest.distance:.2f} from {nearest.situation.name}"
    if not advice.like_any:
        return (
            f"Not like anything measured: {said}, where no measured situation is further than "
            f"{reach:.2f} from its neighbour. What follows won in the nearest, and is no evidence "
            "for your data: compare a few losses on them by `discovery evaluate`."
        )
    if nearest.distance <= advice.within:
        return (
            f"Like {nearest.situation.name}: {said}, which the luck of which rows there are would "
            f"explain (up to {advice.within:.2f})."
        )
    return (
        f"Nearest to {nearest.situation.name}, and not the same: {said}; the luck of "
        f"rows explains {advice.within:.2f}, and situations are at most {reach:.2f} apart from "
        "their neighbour."
    )


def sureness(advice: "Advice") -> "Iterator[str]":
    """Yield what the recommendation rests on, a line each."""
    best, nearest = advice.choices[0], advice.nearest.situation
    if advice.margin is not None:
        gap = advice.margin
        yield (
            f"margin    {best.name} earns {gap.mean:+.1%} [{gap.low:+.1%}, {gap.high:+.1%}] of the "
            f"expert's return more than {advice.over}, the next that is not recommended"
        )
    else:
        yield f"margin    none: all {len(advice.choices)} losses overlap the best"
    for name in advice.better_regimes:
        own = advice.regimes[name]
        yield (
            f"regime    {name} (`discovery train --algorithm {name}`): {own.estimate.mean:.0%} of "
            f"the expert, above every loss here; {own.agents} agents on each of "
            f"{len(own.shares)} draws"
        )
    if not advice.better_regimes:
        others = ", ".join(advice.regimes) or "no other regime"
        yield f"regime    offline, on these data alone: {others} was measured to be better there"
    yield (
        f"evidence  {len(best.earned.shares)} draws of the data, {best.earned.agents} agents on "
        f"each; tuned on others; {_searches(best)}; {len(advice.choices)} losses compared"
    )
    yield (
        f"placed    by {nearest.rows:,} rows there; {advice.nearest.often:.0%} of resamples of "
        "your rows are nearest to it (the models that score are not fitted anew)"
    )


def _searches(choice: "Choice") -> str:
    searches = choice.earned.searches
    return f"a loss of {searches} search" if searches else "a loss made by hand, no search"


def _plain(file: Path, described: "Described", advice: "Advice") -> dict[str, Any]:
    from discovery.recommend import DESCRIPTORS

    def earned(name: str, one: Any) -> dict[str, Any]:
        estimate = one.estimate
        return {
            "name": name,
            "reads": one.group,
            "share_of_expert": estimate.mean,
            "low": estimate.low,
            "high": estimate.high,
            "draws": len(one.shares),
            "agents": one.agents,
            "searches": one.searches,
            "settings": dict(one.point),
        }

    return {
        "file": str(file),
        "rows": described.rows,
        "kind": described.kind,
        "scored_by": described.scored_by,
        "log_std": described.log_std,
        "descriptors": {
            name: {"value": float(value), "standard_error": float(error)}
            for name, value, error in zip(
                DESCRIPTORS, described.numbers, described.errors, strict=True
            )
        },
        "situations": [
            {"name": one.situation.name, "distance": one.distance, "nearest_in": one.often}
            for one in advice.near
        ],
        "like_any": advice.like_any,
        "reach": advice.reach,
        "within": advice.within,
        "verdict": verdict(advice),
        "action": advice.action,
        "losses": [
            {**earned(one.name, one.earned), "recommended": one.recommended}
            for one in advice.choices
        ],
        "margin": None
        if advice.margin is None
        else {
            "over": advice.over,
            "share_of_expert": advice.margin.mean,
            "low": advice.margin.low,
            "high": advice.margin.high,
        },
        "regimes": [earned(name, one) for name, one in advice.regimes.items()],
        "better_regimes": list(advice.better_regimes),
        "evidence": list(sureness(advice)),
    }
