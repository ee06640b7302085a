"""Rounds of policy training and reward refinement: a regime whose reward model learns on.

The reward model that came with the data is fitted, every few rounds, to fresh pairs that the agent
wrote and a judge ranked. Its last change is handed to slopes as a hint: the direction that guided
ones keep away from (Algorithm 1 of ZOPrO).
"""

from dataclasses import dataclass, field, replace
from typing import Any, final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from mpo.errors import RequestError
from mpo.objectives import ClosedForm
from mpo.pytree import pytree
from mpo.settings import Checked, Number, count, number
from mpo.train.descent import Descent
from mpo.train.graders import Graded, Learnt
from mpo.train.regime import Memory, Ranked, Ranking, Regime
from mpo.train.rounds import train
from mpo.train.source import Policy, Source

Params = Any  # a pytree of arrays
_PAIR = 2
_WRITE, _JUDGE, _FIT, _REGIME, _INIT = range(5)


@pytree
@dataclass(frozen=True)
class Refining:
    """What a refined regime hands from round to round.

    Attributes:
      regime: what the regime does.
      model: parameters of the reward model.
      away: its last change, shaped like the policy's parameters; zero at first, and where the
        policy has no array of that name and shape.
      fitted: how many of the last pairs it ranked right before it was fitted to them; NaN at first.
      judged: pairs that were judged so far.
    """

    regime: Memory
    model: Any
    away: Any
    fitted: Float[Array, ""]
    judged: Float[Array, ""]


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class Refined(Checked):
    """A regime with a learnt grader, which is refined on what the agent writes.

    Attributes:
      regime: who writes, and how that is used.
      every: rounds after which the reward model is refined.
      prompts: pairs for that, of the agent's own responses to fresh prompts.
      descent: how it is fitted to them, by Bradley–Terry, with `updates`.
      judge: ranks each pair by its true reward.
      mix: how far the model goes to what was fitted; the paper's code has a half as an option.
    """

    what = "training.regime.refine"

    regime: Regime
    every: int = count(10)
    prompts: int = count(32)
    descent: Descent = field(
        default_factory=lambda: Descent(learning_rate=3e-3, updates=50, batch=16)
    )
    judge: Ranking = field(default_factory=Ranked, metadata={"static": True})
    mix: Number = number(1.0, above=0.0, at_most=1.0)

    def rounds(self, updates: int, batch: int) -> int:
        """Return how many pools are written in so many updates."""
        return self.regime.rounds(updates, batch)

    def init(self, source: Any, policy: Policy, params: Params, key: PRNGKeyArray) -> Refining:
        """Return the reward model that came with the data.

        Raises:
          RequestError: none did.
        """
        if not isinstance(source, Graded) or not isinstance(source.grader, Learnt):
            raise RequestError(
                "training.regime.refine is of a reward model: give training.regime.grader='learnt'"
            )
        memory = self.regime.init(source, policy, params, jax.random.fold_in(key, _INIT))
        nothing = jax.tree.map(jnp.zeros_like, params)
        return Refining(memory, source.grader.params, nothing, jnp.float32(jnp.nan), jnp.zeros(()))

    def __call__(
        self,
        source: Any,
        policy: Policy,
        params: Params,
        state: Refining,
        key: PRNGKeyArray,
        number: Int[Array, ""],
    ) -> tuple[Source, Refining]:
        """Return the pool of a round, graded by the model as it is by then."""
        due = (number > 0) & (number % self.every == 0)

        def refined() -> Refining:
            pairs = self._pairs(params, key)
            grader = replace(source.grader, params=state.model)
            rows = jnp.arange(self.prompts, dtype=jnp.int32)
            scores = grader.scores(pairs.batch(rows))
            right = jnp.mean((scores[:, 0] > scores[:, 1]).astype(float))
            fit = jax.random.fold_in(key, _FIT)
            objective = ClosedForm(alpha=0.0, beta=1.0, length_normalise=False)
            found, _ = train(objective, pairs, grader.model, fit, self.descent, start=state.model)
            mixed = jax.tree.map(
                lambda old, new: old + jnp.asarray(self.mix, old.dtype) * (new - old),
                state.model, found,
            )  # fmt: skip
            change = jax.tree.map(jnp.subtract, mixed, state.model)
            return Refining(
                state.regime, mixed, shared(change, params), right, state.judged + self.prompts
            )

        # Known by the number of the round alone, so a population does one of both.
        state = jax.lax.cond(due, refined, lambda: state)
        own = Graded(source.source, replace(source.grader, params=state.model))
        pool, memory = self.regime(
            own, policy, params, state.regime, jax.random.fold_in(key, _REGIME), number
        )
        return pool, replace(state, regime=memory)

    def hint(self, state: Refining) -> Params:
        """Return the last change of the reward model, in the policy's shape."""
        return state.away

    def report(
        self, pool: Source, policy: Policy, params: Params, state: Refining
    ) -> dict[str, Float[Array, ""]]:
        """Return what the regime reports, how many pairs were `judged`, and how it had ranked them.

        `samples` and `steps` are those of the regime: each judged pair is two responses more.
        """
        seen = self.regime.report(pool, policy, params, state.regime)
        return {**seen, "judged": state.judged, "fitted": state.fitted}

    def _pairs(self, params: Params, key: PRNGKeyArray) -> Source:
        """Let the agent write two responses to each of some prompts, and have them ranked."""
        writer = replace(self.regime, prompts=self.prompts, responses=_PAIR, pairing="all")
        write, judge = jax.random.split(jax.random.fold_in(key, _WRITE))
        starts = writer.starts(jax.random.fold_in(key, _JUDGE))
        written = writer.write(params, starts, write)
        keys = jax.random.split(judge, self.prompts)
        order = jax.vmap(self.judge.rank)(keys, written["total"]).astype(jnp.int32)
        best_first = jax.tree.map(
            lambda leaf: jax.vmap(lambda row, places: row[places])(leaf, order), written
        )
        return writer.view(best_first)


def shared(change: Params, like: Params) -> Params:
    """Return the arrays of `change` in the shape of `like`: those of the same path and shape.

    The others are zero: a head that only one of both has, say.
    """
    known = {
        jax.tree_util.keystr(path): leaf
        for path, leaf in jax.tree_util.tree_flatten_with_path(change)[0]
    }

    def taken(path: Any, leaf: Array) -> Array:
        found = known.get(jax.tree_util.keystr(path))
        same = found is not None and found.shape == leaf.shape
        return found.astype(leaf.dtype) if same and found is not None else jnp.zeros_like(leaf)

    return jax.tree_util.tree_map_with_path(taken, like)
