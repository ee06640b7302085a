"""What a dataset is like: counts, returns of winners and losers, how right labels are; drawn."""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from envs.data.dataset import Dataset
from envs.data.generate import flips
from envs.data.recipe import EXPERT, Recipe
from mpo.errors import RequestError, place_to_write

_INK, _AGENTS = "#333333", ("#1f77b4", "#e8925c", "#7aa874", "#a98bc4")
_FORMATS = (".png", ".pdf", ".svg")


def picture(dataset: Dataset, path: str | Path) -> None:
    """Write a figure of the dataset: returns on the left, labels on the right. Needs no display."""
    path = Path(path)
    if path.suffix not in _FORMATS:
        raise RequestError(f"{path} must end in {', '.join(_FORMATS)}")
    if dataset.reward is None:
        raise RequestError("the dataset has no true returns, so there is no histogram of them")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    _returns(left, dataset)
    _labels(right, dataset)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=_INK)
    figure.suptitle(_title(dataset), x=0.01, ha="left", fontsize=11, color=_INK)
    with place_to_write(path):
        figure.savefig(path, dpi=150)


def _title(dataset: Dataset) -> str:
    about, recipe = dataset.about, dataset.about.recipe
    size = f"{len(dataset):,} comparisons of {dataset.responses} responses"
    if recipe is None:
        return f"{about.task or 'own data'}: {size}"
    eta = recipe.judge.temperature
    judge = "perfect judge" if eta is None else f"judge's temperature {eta:.4g}"
    judge += f" by {recipe.grading.place}" if recipe.grading else ""
    reversed_ = f", {flipped(dataset):,} flipped" if recipe.judge.flip else ""
    return (
        f"{recipe.task}, {recipe.kind}: {size}, {recipe.expert.name} against "
        f"{recipe.reference.name}\n{judge}{reversed_}"
    )


def _returns(axes: Any, dataset: Dataset) -> None:
    """Draw the returns of winners upward and of losers downward, coloured by who earned them."""
    assert dataset.reward is not None
    reward = np.asarray(dataset.reward)
    names = dataset.about.agents or ("responses",)
    agent = np.zeros(reward.shape, int) if dataset.agent is None else np.asarray(dataset.agent)
    bins = np.linspace(float(reward.min()), float(reward.max()) + 1e-6, 61)
    words: list[str] = []
    for place, sign in ((-1, -1), (0, 1)):
        floor = np.zeros(len(bins) - 1)
        for index, name in enumerate(names):
            mine = agent[:, place] == index
            top = floor + sign * np.histogram(reward[mine, place], bins)[0]
            label = name if sign > 0 and len(names) > 1 else None
            color = _AGENTS[index % len(_AGENTS)]
            axes.stairs(top, bins, baseline=floor, fill=True, color=color, alpha=0.85, label=label)
            floor = top
        mean = float(np.mean(reward[:, place], dtype=np.float64))
        span = (0.5, 1.0) if sign > 0 else (0.0, 0.5)
        axes.axvline(mean, *span, color=_INK, lw=1.2, ls="--")
        words.append(f"{'winners' if sign > 0 else 'losers'}, mean {mean:,.4g}")
    axes.axhline(0.0, color=_INK, lw=0.8)
    # A square root, so that a few wrong labels are seen beside many right ones.
    axes.set_yscale("function", functions=(_signed_root, _signed_square))
    most = max(abs(limit) for limit in axes.get_ylim()) * 1.1
    ticks = _round(most) * np.array([-1.0, -0.25, -0.04, 0.0, 0.04, 0.25, 1.0])
    axes.set(
        xlabel="true return", ylabel=" \N{EM SPACE} ".join(words), ylim=(-most, most), yticks=ticks
    )
    axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):,.4g}")
    axes.minorticks_off()
    if len(names) > 1:
        axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=len(names))


def _signed_root(value: np.ndarray) -> np.ndarray:
    return np.sign(value) * np.sqrt(np.abs(value))


def _signed_square(value: np.ndarray) -> np.ndarray:
    return np.sign(value) * np.square(value)


def _round(value: float) -> float:
    """Return the largest 1, 2 or 5 times a power of ten that is not above `value`."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(max(step * power for step in (1.0, 2.0, 5.0) if step * power <= value))


def _labels(axes: Any, dataset: Dataset) -> None:
    """Draw how often pairs are ranked right, by how far apart their returns are."""
    assert dataset.reward is not None
    better, worse = (side.astype(np.float64) for side in pairs(dataset.reward))
    gap, right = np.abs(better - worse), rightness(better, worse)
    edges = np.unique(np.quantile(gap, np.linspace(0, 1, 13)))
    group = np.clip(np.searchsorted(edges, gap, side="right") - 1, 0, max(len(edges) - 2, 0))
    members = [group == g for g in np.unique(group)]
    middle = np.array([gap[m].mean() for m in members])
    share = np.array([right[m].mean() for m in members])
    low, high = zip(
        *(_wilson(float(s), int(m.sum())) for s, m in zip(share, members, strict=True)), strict=True
    )
    errors = np.maximum([share - low, high - share], 0.0)
    if dataset.about.recipe is not None and dataset.about.recipe.grading is None:
        span = np.linspace(0.0, float(gap.max()), 300)
        curve = dataset.about.recipe.judge.prefers(span, 0.0)
        axes.plot(span, curve, color=_INK, lw=1.2, label="what the judge should do")
    axes.errorbar(
        middle,
        share,
        errors,
        fmt="o",
        ms=4,
        lw=1,
        capsize=2,
        color=_AGENTS[0],
        label="labels (95 %)",
    )
    axes.axhline(float(right.mean()), color=_INK, lw=1, ls="--", label=f"all: {right.mean():.1%}")
    axes.set(xlabel="difference of the two true returns", ylabel="ranked right", ylim=(-0.02, 1.02))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.legend(frameon=False, loc="lower right")


def _wilson(share: float, count: int, z: float = 1.96) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a proportion."""
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * np.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    return float(centre - half), float(centre + half)


@dataclass(frozen=True)
class Returns:
    """How some true returns are distributed."""

    mean: float
    std: float
    least: float
    most: float

    @classmethod
    def of(cls, returns: np.ndarray) -> "Returns":
        """Summarise these returns."""
        values = np.asarray(returns, np.float64)
        return cls(*(float(f(values)) for f in (np.mean, np.std, np.min, np.max)))


@dataclass(frozen=True)
class Meeting:
    """How often one agent was ranked above another, and how often rightly (ties count half)."""

    better: str
    worse: str
    pairs: int
    right: float | None


@dataclass(frozen=True)
class Statistics:
    """What `discovery data show` says. `None` where the true returns are not known.

    Attributes:
      rows: number of comparisons.
      responses: K, the responses of each comparison.
      steps: T, the steps or tokens of a response at most.
      mean_length: steps or tokens in a response, on average.
      winners: returns of the first of each row.
      losers: returns of the last.
      right: share of all pairs (two responses of one row) that are ranked by their true
        returns; ties count half.
      expected_right: what `right` should be on average, by the recipe's judge of returns.
      meetings: who was ranked above whom.
      flipped: rankings that were reversed after they were made; `None` without a recipe.
      expert_rows: rows with a response of the recipe's expert; `None` where that is not known.
    """

    rows: int
    responses: int
    steps: int
    mean_length: float
    winners: Returns | None
    losers: Returns | None
    right: float | None
    expected_right: float | None
    meetings: tuple[Meeting, ...]
    flipped: int | None = None
    expert_rows: int | None = None


def statistics(dataset: Dataset) -> Statistics:
    """Return what a dataset is like; reads no steps, only what is known of each response."""
    reward, recipe = dataset.reward, dataset.about.recipe
    known = None if recipe is None or recipe.grading is not None else recipe
    return Statistics(
        rows=len(dataset),
        responses=dataset.responses,
        steps=dataset.steps,
        mean_length=float(np.mean(dataset.length)),
        winners=None if reward is None else Returns.of(reward[:, 0]),
        losers=None if reward is None else Returns.of(reward[:, -1]),
        right=None if reward is None else float(np.mean(rightness(*pairs(reward)))),
        expected_right=None if reward is None or known is None else _expected(known, reward),
        meetings=tuple(_meetings(dataset)),
        flipped=None if recipe is None else flipped(dataset),
        expert_rows=None if recipe is None or dataset.agent is None else expert_rows(dataset),
    )


def flipped(dataset: Dataset) -> int:
    """Return how many rankings of a generated dataset were reversed after they were made."""
    recipe = dataset.about.recipe
    assert recipe is not None
    return int(np.sum(flips(recipe)[: len(dataset)])) if recipe.judge.flip else 0


def expert_rows(dataset: Dataset) -> int:
    """Return how many rows have a response of the recipe's expert."""
    assert dataset.agent is not None
    return int(np.sum((np.asarray(dataset.agent) == EXPERT).any(axis=1)))


def pairs(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the values [N, K] of all pairs, those ranked better and those ranked worse."""
    places = np.array(list(itertools.combinations(range(values.shape[1]), 2)))
    return values[:, places[:, 0]].reshape(-1), values[:, places[:, 1]].reshape(-1)


def rightness(better: np.ndarray, worse: np.ndarray) -> np.ndarray:
    """Return 1 where the true returns agree with the ranking, 0 where not, ½ for ties."""
    return 0.5 * (1.0 + np.sign(np.asarray(better, np.float64) - np.asarray(worse, np.float64)))


def _expected(recipe: Recipe, reward: np.ndarray) -> float:
    a, b = pairs(reward)
    return float(np.mean(recipe.judge.prefers(np.maximum(a, b), np.minimum(a, b))))


def _meetings(dataset: Dataset) -> list[Meeting]:
    if dataset.agent is None:
        return []
    names = dataset.about.agents
    better, worse = pairs(np.asarray(dataset.agent))
    right = None if dataset.reward is None else rightness(*pairs(dataset.reward))
    found = []
    for a, b in itertools.product(range(len(names)), repeat=2):
        met = (better == a) & (worse == b)
        if met.any():
            share = None if right is None else float(np.mean(right[met]))
            found.append(Meeting(names[a], names[b], int(met.sum()), share))
    return found
