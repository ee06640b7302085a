"""Make the table that `discovery recommend` places data in, and say how often it is right.

python docs/recommend.py table      # describe the data of the leaderboard: of a TASK, or of all
python docs/recommend.py mixtures   # train on mixtures of faults that the leaderboard has not
python docs/recommend.py            # docs/recommend.md, from both

The table goes to discovery/recommend/measured.json, which ships; what agents earned on the mixtures
goes to docs/results/recommend/mixtures.json.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import discovery
import mpo
from discovery.config.sections import MEAN, SAMPLED
from discovery.evidence import markdown, statistics
from discovery.evidence.contest import measured
from discovery.evidence.returns import OF_ACTION, RETURN
from discovery.leaderboard.board import Board, Fault, Ground, board
from discovery.leaderboard.making import FIRST, Results
from discovery.leaderboard.measuring import Column
from discovery.recommend import DESCRIPTORS, Advice, Measured, advise, describe, situations
from discovery.recommend.advice import REGIME
from discovery.recommend.descriptors import LEARNT, REWARD, SCORES, described, read
from discovery.recommend.situations import READS_REWARDS, Earned, written
from discovery.search import situation, streams
from discovery.search.cohort import Cohort
from discovery.search.streams import Purpose
from mpo import paths
from mpo.train import stacked

ROOT = Path(__file__).resolve().parent
RESULTS = Results(ROOT / "results" / "leaderboard")
TABLE = ROOT.parent / "discovery" / "recommend" / "measured.json"
MIXTURES_OF = ROOT / "results" / "recommend" / "mixtures.json"
PAGE = ROOT / "recommend.md"
MARK = "<!-- Below this line is what `python docs/recommend.py` writes. -->"
DRAWS = {"token_bandit": 4, "hopper": 1, "three_legged_ant": 1}
"""Of the leaderboard's draws of its data, how many are described: one of physics is a minute."""
REGIMES = {("hopper", "scarce, quiet"): ("quiet", ("learnt_best_of_n", "learnt_rwr"))}
"""Where other ways to train were measured: the headline, and their names."""
MIXTURES = (
    Fault(
        name="noisy 0.1 + scarce 0.5",
        about="the expert in half of the rows, a ranking of ten reversed",
        data={"kind": "noisy+scarce", "exact": True, "flip": 0.1, "share": 0.5},
    ),
    Fault(
        name="noisy 0.2 + shuffled",
        about="mixed quality, two rankings of ten reversed",
        data={"kind": "noisy+shuffled", "exact": True, "flip": 0.2},
    ),
    Fault(
        name="noisy 0.35",
        about="seven rankings of twenty reversed",
        data={"kind": "noisy", "exact": True, "flip": 0.35},
    ),
    Fault(
        name="poor judge + scarce 0.5",
        about="two good authors, one of them in half of the rows, and a poor judge",
        data={"kind": "poor_judge+scarce", "judge": "medium", "share": 0.5},
    ),
)
TOP, AGENTS = 8, 8
"""Losses of the board that are trained on each mixture, beside those that are recommended."""


# --- the table ------------------------------------------------------------------------------------


def table(tasks: Sequence[str]) -> Iterator[Measured]:
    """Describe every column of these tasks that is measured, or of all; keep those of others."""
    whole = board()
    if tasks:
        yield from (one for one in situations() if one.task not in tasks)
    for ground in whole.chosen(tuple(tasks), (), ()).grounds:
        for fault in whole.of(ground)[1]:
            if RESULTS.column(ground, fault) is not None:
                yield _measured(whole, ground, fault)


def _measured(whole: Board, ground: Ground, fault: Fault) -> Measured:
    config = ground.config(fault, range(DRAWS[ground.name]))
    draws: dict[str, list[Any]] = {by: [] for by in SCORES}
    for one in config.data:
        made = situation.dataset_of(config, one, Purpose.EVALUATION, lambda done, rows: None)
        readings = read(made)
        for by in SCORES:
            draws[by].append(described(made, readings, by))
        print(ground.name, fault.name, draws[LEARNT][-1].numbers.round(3), flush=True)
    column = RESULTS.column(ground, fault)
    assert column is not None
    expert = column["authors"]["expert"]
    of = {action: expert[name] for action, name in OF_ACTION.items() if name in expert}
    spreads = [one.log_std for one in draws[LEARNT] if one.log_std is not None]
    return Measured(
        task=ground.name,
        fault=fault.name,
        about=fault.about,
        kind=draws[LEARNT][0].kind,
        rows=draws[LEARNT][0].rows,
        log_std=round(float(np.mean(spreads)), 3) if spreads else None,
        draws={by: np.stack([one.numbers for one in own]) for by, own in draws.items()},
        expert=of,
        earned={
            action: _earned(whole, ground, fault, action, worth) for action, worth in of.items()
        },
    )


def _earned(
    whole: Board, ground: Ground, fault: Fault, action: str, expert: float
) -> dict[str, Earned]:
    found = {}
    for loss in whole.of(ground)[0]:
        cell = RESULTS.cell(ground, loss, fault)
        if cell is None:
            continue
        best = cell["best"][action]
        values = np.nan_to_num(np.array(best[OF_ACTION[action]], float))
        found[loss.name] = Earned(
            group=loss.group,
            shares=_shares(values, expert),
            agents=values.shape[1],
            searches=int(loss.group == "found"),
            point={path: float(f"{value:.4g}") for path, value in best["point"].items()},
        )
    headline, names = REGIMES.get((ground.name, fault.name), ("", ()))
    for name in names:
        held = json.loads((ROOT / "results" / "headline" / f"{headline}.json").read_text())
        (values,) = np.array(held[OF_ACTION[action]][name], float)
        found[name] = Earned(
            group=REGIME, shares=_shares(np.nan_to_num(values), expert), agents=values.shape[1]
        )
    return found


def _shares(values: np.ndarray, expert: float) -> np.ndarray:
    return np.round(values.mean(axis=1) / expert, 5)


# --- mixtures -------------------------------------------------------------------------------------


def mixtures() -> Iterator[dict[str, Any]]:
    """Train what is recommended, and the top of the board, on each mixture; yield what it earns."""
    discovery.start()
    (ground,) = board().chosen(("token_bandit",), (), ()).grounds
    for fault in MIXTURES:
        config = ground.config(fault, range(1))
        made = situation.dataset_of(
            config, config.data[0], Purpose.EVALUATION, lambda done, rows: None
        )
        advised = {by: advise(describe(made, by), situations()) for by in SCORES}
        yield {"fault": fault.name, "about": fault.about, **_contest(ground, fault, advised)}


def _contest(ground: Ground, fault: Fault, advised: dict[str, Advice]) -> dict[str, Any]:
    names = [one.name for advice in advised.values() for one in advice.recommended]
    names = [*dict.fromkeys([*_top(situations()), *names])]
    losses = {loss.name: loss for loss in board().losses}
    shares = {}
    for by, advice in advised.items():
        nearest = advice.nearest.situation
        of = next(one for one in board().of(ground)[1] if one.name == nearest.fault)
        rate = RESULTS.cell(ground, losses[FIRST], of)
        assert rate is not None
        column = Column(ground, fault, rate["best"][SAMPLED]["point"]["descent.learning_rate"])
        expert = column.authors()["authors"]["expert"][RETURN]
        points = {name: own.point for name, own in nearest.earned[SAMPLED].items()}
        shares[by] = {
            name: (_trained(column, losses[name], points[name]) / expert).round(5).tolist()
            for name in names
            if name in points
        }
        print(fault.name, by, {n: round(float(np.mean(v)), 3) for n, v in shares[by].items()})
    return {
        by: {
            "nearest": advice.nearest.situation.fault,
            "distance": round(advice.nearest.distance, 3),
            "reach": round(advice.reach, 3),
            "often": round(advice.nearest.often, 3),
            "recommended": [one.name for one in advice.recommended],
            "shares": shares[by],
        }
        for by, advice in advised.items()
    }


def _trained(column: Column, loss: Any, point: Any) -> np.ndarray:
    """Return what agents of a loss earn on each draw, at settings chosen elsewhere."""
    ground = column.ground
    cohort = Cohort(
        column.situation(Purpose.EVALUATION, loss, range(ground.draws)), ground.episodes
    )
    found = mpo.find(loss.source)
    base = situation.algorithm(column.config(Purpose.EVALUATION), found.objective)
    base = paths.put_all(paths.put_all(base, found.provenance.beside), point)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(
        streams.key(Purpose.EVALUATION, 0), jnp.arange(AGENTS, dtype=jnp.uint32)
    )
    values = measured(cohort, stacked([base], each=AGENTS), keys, (RETURN,))[RETURN]
    return np.nan_to_num(values).mean(axis=1)


def _top(known: Sequence[Measured]) -> list[str]:
    """Return the losses that are best on average on the bandit, of those measured everywhere."""
    own = [one.earned[SAMPLED] for one in known if one.task == "token_bandit"]
    names = [name for name in own[0] if _may(own[0][name]) and all(name in one for one in own)]
    return sorted(names, key=lambda n: -np.mean([one[n].shares.mean() for one in own]))[:TOP]


# --- how often it is right ------------------------------------------------------------------------


class LeftOut(NamedTuple):
    """A situation that was left out of the table, and what came of what was recommended then."""

    situation: Measured
    nearest: Measured
    like_any: bool
    taken: str
    within: bool
    regret: float
    usual: str
    usual_within: bool
    usual_regret: float


def left_out(known: Sequence[Measured], by: str, action: str) -> Iterator[LeftOut]:
    """Leave every situation out in turn, and yield what the first recommended loss lost there.

    Beside it is what the loss loses that is best on average over the other situations of the same
    task, of those that are measured in all of them and in this one.
    """
    for one in known:
        if action not in one.earned:
            continue
        others = [other for other in known if other is not one]
        advice = advise(one.described(by), others, action)
        earned = {name: own for name, own in one.earned[action].items() if _may(own)}
        taken = next(choice.name for choice in advice.choices if choice.name in earned)
        same = [other.earned[action] for other in others if other.task == one.task]
        usual = max(
            (name for name in earned if all(name in other for other in same)),
            key=lambda name: float(np.mean([other[name].shares.mean() for other in same])),
        )
        best = max(earned.values(), key=lambda own: float(own.shares.mean()))
        yield LeftOut(
            one,
            advice.nearest.situation,
            advice.like_any,
            *_lost(taken, earned, best),
            *_lost(usual, earned, best),
        )


def _lost(name: str, earned: dict[str, Earned], best: Earned) -> tuple[str, bool, float]:
    own = earned[name]
    within = own.estimate.high >= best.estimate.low
    return name, within, float(best.shares.mean() - own.shares.mean())


def _may(own: Earned) -> bool:
    return own.group not in (REGIME, READS_REWARDS)


# --- the page -------------------------------------------------------------------------------------


def said() -> str:
    """Return the part of the page that is measured."""
    return "\n\n".join(_parts())


def _parts() -> Iterator[str]:
    known = situations()
    yield "## Left out, one after another"
    rows = []
    for action in (SAMPLED, MEAN):
        for by in (LEARNT, REWARD):
            found = [*left_out(known, by, action)]
            for kind in dict.fromkeys(one.situation.task for one in found):
                own = [one for one in found if one.situation.task == kind]
                rows.append([kind, action, by, *_score(own)])
            if found:
                rows.append(["**all**", action, by, *_score(found)])
    titles = ["situations", "action", "scored by", "how many"]
    mine = ["first recommended: within the best's interval", "mean regret", "worst"]
    usual = ["best on average on the task: within", "mean regret", "worst"]
    yield markdown.table([*titles, *mine, *usual], rows)
    yield "Each of them, by sampled actions and a learnt reward:"
    yield markdown.table(
        ["left out", "nearest", "like any", "taken", "regret", "best on average", "regret"],
        [
            [
                one.situation.name,
                one.nearest.name,
                "yes" if one.like_any else "no",
                one.taken,
                f"{one.regret:.1%}{'' if one.within else ' *'}",
                one.usual,
                f"{one.usual_regret:.1%}{'' if one.usual_within else ' *'}",
            ]
            for one in left_out(known, LEARNT, SAMPLED)
        ],
    )
    yield "(\\* its interval does not reach that of the best.)"
    if MIXTURES_OF.exists():
        yield "## Mixtures of the token bandit that are not on the board"
        yield _mixtures(json.loads(MIXTURES_OF.read_text()))
    yield "## The measured situations, as a learnt reward sees them"
    yield markdown.table(
        ["", *DESCRIPTORS],
        [
            [one.name, *[f"{value:.2f}" for value in one.draws[LEARNT].mean(axis=0)]]
            for one in known
        ],
    )


def _score(found: Sequence[LeftOut]) -> list[str]:
    count = len(found)
    mine, usual = [one.regret for one in found], [one.usual_regret for one in found]
    return [
        f"{count}",
        f"{sum(one.within for one in found)} of {count}",
        f"{np.mean(mine):.1%}",
        f"{np.max(mine):.1%}",
        f"{sum(one.usual_within for one in found)} of {count}",
        f"{np.mean(usual):.1%}",
        f"{np.max(usual):.1%}",
    ]


def _mixtures(held: Sequence[dict[str, Any]]) -> str:
    usual = _top(situations())[0]
    rows = []
    for one in held:
        for by in (LEARNT, REWARD):
            own = one[by]
            values = {name: np.array(shares) for name, shares in own["shares"].items()}
            first = own["recommended"][0]
            best = max(values, key=lambda name: float(values[name].mean()))
            rows.append(
                [
                    one["fault"],
                    by,
                    f"{own['nearest']} ({own['distance']:.2f} of {own['reach']:.2f})",
                    _share(first, values),
                    _share(best, values),
                    _less(values[best], values[first]),
                    _less(values[best], values[usual]),
                    f"{len(values)}",
                ]
            )
    titles = ["data", "scored by", "nearest (distance of reach)", "first recommended", "best"]
    return markdown.table([*titles, "less than the best", f"{usual}, less", "losses"], rows)


def _share(name: str, values: dict[str, np.ndarray]) -> str:
    own = statistics.estimate(values[name], ("datasets",))
    return f"{name} {own.mean:.1%} [{own.low:.1%}, {own.high:.1%}]"


def _less(best: np.ndarray, other: np.ndarray) -> str:
    gap = statistics.estimate(best - other, ("datasets",))
    return f"{gap.mean:.1%} [{gap.low:.1%}, {gap.high:.1%}]"


def main(asked: str, tasks: Sequence[str]) -> None:
    """Do what is asked for."""
    if asked == "table":
        discovery.start()
        TABLE.write_text(written(tuple(table(tasks))))
    elif asked == "mixtures":
        MIXTURES_OF.parent.mkdir(parents=True, exist_ok=True)
        MIXTURES_OF.write_text(json.dumps([*mixtures()], indent=1) + "\n")
    else:
        PAGE.write_text(f"{PAGE.read_text().partition(MARK)[0]}{MARK}\n\n{said()}\n")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "", sys.argv[2:])
