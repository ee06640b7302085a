"""A cell of the board: a loss tuned on data and seeds set aside for that, measured on others.

Every loss gets the same number of trainings, by halving: points of its settings, of which the best
by sampled actions and the best by the mean action are measured again on another draw of the data
and by fresh agents; the best of those by each is what the cell shows, on draws that chose nothing.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

import mpo
from discovery.config import Config
from discovery.config.sections import ALL, FRESH, SFT, Training
from discovery.evidence import stage, statistics, tuning
from discovery.evidence.contest import measured, measures
from discovery.evidence.returns import BY_MEAN, OF_ACTION, RETURN
from discovery.host.processes import all_devices
from discovery.leaderboard.board import Fault, Ground, Loss
from discovery.search import situation, streams
from discovery.search.cohort import Cohort
from discovery.search.situation import REFERENCE, Situation
from discovery.search.streams import Purpose
from envs.base import Spreading
from mpo import paths
from mpo.train import Algorithm, replicated, stacked

TUNING_DRAWS = 2
"""Draws of the data that settings are chosen on: one for all points, one for the best again."""

Values = dict[str, Any]


@dataclass(eq=False)
class Column:
    """A column of a task's board, with its data on the devices.

    Attributes:
      ground: the task and its sizes.
      fault: what is wrong with the data.
      rate: learning rate of the SFT that losses with a reference begin from; `None` while it is
        not known.
    """

    ground: Ground
    fault: Fault
    rate: float | None = None

    def config(self, purpose: Purpose) -> Config:
        """Return the description of the column for a purpose, all draws of its data in it."""
        draws = TUNING_DRAWS if purpose is Purpose.TUNING else self.ground.draws
        return self.ground.config(self.fault, range(draws))

    def situation(self, purpose: Purpose, loss: Loss, draws: Sequence[int]) -> Situation:
        """Return where a loss is trained: some draws of a purpose, with the stage before it."""
        prepared = self._prepared[purpose]
        training: Training = self.config(purpose).training
        stages: tuple[Any, ...] = ()
        if loss.after_sft:
            begun = SFT if training.start == FRESH else f"{SFT}:{training.start}"
            training = dataclasses.replace(training, start=begun, after_sft=ALL)
        if loss.after_sft or REFERENCE in mpo.find(loss.source).objective.needs:
            assert self.rate is not None, "the SFT of this column comes first"
            stages = tuple(self._stages(purpose)[draw] for draw in draws)
        sources = tuple(prepared.sources[draw] for draw in draws)
        if reads_rewards(loss):
            sources = tuple(situation.standard(one) for one in sources if one is not None)
        return dataclasses.replace(
            prepared,
            sources=sources,
            moments=tuple(prepared.moments[draw] for draw in draws),
            training=training,
            stages=stages,
        )

    @cached_property
    def _prepared(self) -> dict[Purpose, Situation]:
        return {
            purpose: situation.prepare(self.config(purpose), purpose, all_devices())
            for purpose in (Purpose.TUNING, Purpose.EVALUATION)
        }

    def _stages(self, purpose: Purpose) -> tuple[Any, ...]:
        assert self.rate is not None
        if purpose not in self._begun:
            prepared = self._prepared[purpose]
            agents = tuple(
                stage.agent(prepared, self.rate, purpose, 0, of)
                for of in range(len(prepared.sources))
            )
            self._begun[purpose] = replicated(agents, prepared.devices)
        return self._begun[purpose]

    @cached_property
    def _begun(self) -> dict[Purpose, tuple[Any, ...]]:
        return {}

    def authors(self) -> Values:
        """Return what the data are and what their authors earn, by sampled and by mean action."""
        config, ground = self.config(Purpose.EVALUATION), self._prepared[Purpose.EVALUATION]
        made = [
            situation.dataset_of(config, one, Purpose.EVALUATION, lambda done, rows: None)
            for one in config.data
        ]
        names = dict.fromkeys(name for one in made for name in one.about.agents)
        return {
            "data": [situation.described(config, one, Purpose.EVALUATION) for one in config.data],
            "authors": {name: self._standing(ground, name) for name in names},
        }

    def _standing(self, ground: Situation, name: str) -> dict[str, float]:
        """Return what an author of the data earns, as it acts in them and by its mean action."""
        params, policy = ground.task.agent(name), ground.task.policy
        if self.fault.quiet and isinstance(policy, Spreading) and self.ground.spread is not None:
            params = policy.spread(params, self.ground.spread)
        key = jax.random.fold_in(ground.key, 2**31 + 1)
        starts, draws = jax.random.split(key)
        count = max(64, self.ground.episodes)

        @jax.jit
        def returns(params: Any) -> jax.Array:
            score = jax.vmap(lambda start, key: ground.task.score(params, start, key))
            begun = jax.vmap(ground.task.start)(jax.random.split(starts, count))
            return jnp.mean(score(begun, jax.random.split(draws, count)))

        found = {RETURN: float(returns(params))}
        if BY_MEAN in measures(ground.task) and isinstance(policy, Spreading):
            found[BY_MEAN] = float(returns(policy.spread(params, -jnp.inf)))
        return found


def cell(column: Column, loss: Loss, tell: Any = lambda text: None) -> Values:
    """Tune a loss in a column, and measure it on draws of the data that chose nothing.

    Returns:
      Plain JSON values: every point that was tried and what it earned; and of the best by each
      action its settings, and what is measured of every agent, shape [draws, agents].
    """
    ground = column.ground
    chosen, trials = _tuned(column, loss, tell)
    cohort = Cohort(
        column.situation(Purpose.EVALUATION, loss, range(ground.draws)), ground.episodes
    )
    base = _base(column, loss)
    key = streams.key(Purpose.EVALUATION, 0)
    # Both picks side by side; where they are the same, twice as many agents of it.
    each = ground.agents * (3 - len({*chosen.values()})) if len(chosen) == 2 else ground.agents
    picks = [*dict.fromkeys(chosen.values())]
    keys = _keys(key, each)
    tell(f"{loss.name}: measuring on {ground.draws} draws")
    algorithms = [paths.put_all(base, trials[at]["point"]) for at in picks]
    found = measured(
        cohort, stacked(algorithms, each=each), jnp.tile(keys, len(picks)), _wanted(cohort)
    )
    best = {}
    for action, at in chosen.items():
        place = slice(picks.index(at) * each, (picks.index(at) + 1) * each)
        best[action] = {
            "point": trials[at]["point"],
            **{measure: _plain(values[:, place]) for measure, values in found.items()},
        }
    return {"trainings": _spent(ground), "trials": trials, "best": best}


def _tuned(column: Column, loss: Loss, tell: Any) -> tuple[dict[str, int], list[Values]]:
    """Return the point chosen by each action, by its place among all trials, and these."""
    ground, base = column.ground, _base(column, loss)
    first = Cohort(column.situation(Purpose.TUNING, loss, [0]), ground.episodes)
    second = Cohort(column.situation(Purpose.TUNING, loss, [1]), ground.episodes)
    key, wanted = streams.key(Purpose.TUNING, 0), _wanted(first)
    actions = [action for action, measure in OF_ACTION.items() if measure in wanted]
    tell(f"{loss.name}: tuning")
    found = tuning.explore(
        base,
        float(base.descent.learning_rate),
        lambda some: tuning.tried(first, base, some, _keys(key, 1), wanted),
        [partial(_worth, action=action) for action in actions],
        ground.points,
    )
    points, own = [point for point, _ in found], [values for _, values in found]
    best: list[int] = []
    for action in actions:  # in turn, so that both have as many
        order = sorted(range(len(points)), key=lambda at: -_worth(own[at], action))
        best += [at for at in order if at not in best][: tuning.KEPT // len(actions)]
    fresh_keys = _keys(jax.random.fold_in(key, 1), ground.fresh)
    fresh = tuning.tried(second, base, [points[at] for at in best], fresh_keys, wanted)
    again = dict(zip(best, fresh, strict=True))
    chosen = {action: max(best, key=lambda at: _worth(again[at], action)) for action in actions}
    trials = [
        {
            "point": dict(point),
            **{measure: _plain(values[0]) for measure, values in own[at].items()},
            **({"again": {m: _plain(v[0]) for m, v in again[at].items()}} if at in again else {}),
        }
        for at, point in enumerate(points)
    ]
    return chosen, trials


def reads_rewards(loss: Loss) -> bool:
    """Return whether a loss is given rewards, as no other is; they are standardised then."""
    return "reward" in mpo.find(loss.source).objective.needs


def _base(column: Column, loss: Loss) -> Algorithm:
    found = mpo.find(loss.source)
    objective = dataclasses.replace(found.objective, **dict(loss.settings))
    base = situation.algorithm(column.config(Purpose.EVALUATION), objective)
    return paths.put_known(base, found.provenance.beside)


def _wanted(cohort: Cohort) -> tuple[str, ...]:
    return measures(cohort.situation.task)


def _keys(key: Any, agents: int) -> Any:
    numbers = jnp.arange(agents, dtype=jnp.uint32)
    return jax.vmap(jax.random.fold_in, (None, 0))(key, numbers)


def _worth(found: Mapping[str, Float[np.ndarray, "draws agents"]], action: str) -> float:
    return tuning.worth(statistics.mean(found[OF_ACTION[action]].reshape(-1)))


def _spent(ground: Ground) -> int:
    return ground.points * len(tuning.BOXES) + tuning.KEPT * ground.fresh


def _plain(values: np.ndarray) -> Any:
    """Return numbers as JSON has them, with six digits; null where one is not finite."""
    rounded: Any = np.vectorize(lambda value: float(f"{value:.6g}"), otypes=[float])(values)
    found: Any = np.where(np.isfinite(rounded), rounded.astype(object), None)
    return found.tolist()


def asked(ground: Ground, loss: Loss, fault: Fault) -> Values:
    """Return what decides the numbers of a cell, as plain JSON values."""
    described = ground.config(fault, range(1)).as_json()
    sizes = ("points", "fresh", "draws", "agents", "episodes")
    return {
        "task": described["task"],
        "data": {k: v for k, v in described["data"][0].items() if v is not None and k != "seed"},
        "training": described["training"],
        "loss": {
            "objective": loss.source,
            "settings": dict(loss.settings),
            "after_sft": loss.after_sft,
        },
        "sizes": {name: getattr(ground, name) for name in sizes},
        "tuning": {"boxes": [*tuning.BOXES], "kept": tuning.KEPT, "rates": [*tuning.RATES]},
    }
