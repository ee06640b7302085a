"""Regimes: responses that are written while an agent learns.

A regime is a `Renewal` of seven words: who writes, how large a pool, how often it is used again,
who grades, how that is credited, how groups become comparisons, and what log-ratios are to. Each is
a setting, and none depends on another. Beside them, a share of the pool may be kept between rounds.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Protocol, final, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from mpo.errors import RequestError
from mpo.pytree import pytree
from mpo.settings import Checked, Number, count, number, one_of, static, switch
from mpo.train.credit import LINEAR, SCOPES, SHAPES, credited, no_signal
from mpo.train.graders import Graded, Grader, Truth
from mpo.train.logprob import log_probs
from mpo.train.pool import PAIRINGS, Pool, paired, per_group
from mpo.train.reference import tabulated
from mpo.train.responses import Responses
from mpo.train.source import Batch, Policy, Source

Params = Any  # a pytree of arrays
Starts = Any  # a pytree of arrays with the prompts on the leading axis
Written = dict[str, Array]

DATA, REFERENCE, POLICY = WRITERS = ("data", "reference", "policy")
"""Who writes the responses: nobody, they are the dataset's; the reference policy; the agent."""

_PARTS = 8
"""Into how many parts of one size a pool is cut where only a share of it is written anew."""
_CHUNK = 64


@runtime_checkable
class Writer(Protocol):
    """Where responses are written; an `envs.Task` is one. Hashable, as it is static under `jit`."""

    @property
    def horizon(self) -> int:
        """Steps in a response that does not end early."""
        ...

    def start(self, key: PRNGKeyArray) -> Any:
        """Draw a prompt."""
        ...

    def respond(self, params: Params, start: Any, key: PRNGKeyArray) -> Any:
        """Let an agent respond: `inputs`, `outputs`, `mask` [T], and its true return, `total`."""
        ...


@runtime_checkable
class Ranking(Protocol):
    """Ranks the responses of a group; `envs.judge.Judge` is one. Hashable."""

    def rank(self, key: PRNGKeyArray, returns: Float[Array, "c"]) -> Int[Array, "c"]:
        """Return the numbers of the responses, best first."""
        ...


@dataclass(frozen=True)
class Ranked:
    """Ranks by reward, and is never wrong; of equal rewards the first comes first."""

    def rank(self, key: PRNGKeyArray, returns: Float[Array, "c"]) -> Int[Array, "c"]:
        """Return the numbers of the responses, best first."""
        return jnp.argsort(-returns, stable=True)


def _random(rewards: Array, key: PRNGKeyArray, implied: Array) -> Array:
    return jax.random.uniform(key, rewards.shape[:1])


BY: Mapping[str, Callable[[Array, PRNGKeyArray, Array], Array] | None] = MappingProxyType(
    {
        "all": None,
        "lowest": lambda rewards, key, implied: jnp.max(rewards, axis=1),
        "highest": lambda rewards, key, implied: -jnp.max(rewards, axis=1),
        "random": _random,
        "gap": lambda rewards, key, implied: jnp.max(rewards, axis=1) - jnp.min(rewards, axis=1),
        "uncertain": lambda rewards, key, implied: jnp.abs(implied),
    }
)
"""Which prompts are answered anew, those with the least of it: the reward of the best response, or
less that; a random number; the gap of the rewards; the margin that the agent implies. Of equal
prompts the first. All of them by default."""


@pytree
@dataclass(frozen=True)
class Memory:
    """What a round hands to the next.

    Attributes:
      starts: the prompts.
      written: the responses of the last round, where some of them are kept; empty otherwise.
      reference: parameters of the reference policy.
      samples: responses that were written so far.
      steps: their steps or tokens, in all.
      kept: mean true reward of the responses kept in this round, and of those written in it.
    """

    starts: Any
    written: Written
    reference: Any
    samples: Float[Array, ""]
    steps: Float[Array, ""]
    kept: Float[Array, "2"]


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class Regime(Checked):
    """Who writes what an agent is trained on, how it is graded, and how often it is used.

    Attributes:
      task: where responses are written.
      writer: "policy", the agent itself, every round anew; "reference", the agent before training,
        once; or "data", nobody: the responses of the dataset.
      prompts: P, starts in a pool.
      responses: C, to each of them.
      fresh: whether every round has prompts of its own, or all the same.
      reuse: T, how often each comparison of a pool is trained on before the next is written.
      segment: steps that responses are cut into; whole responses, if left out.
      grader: what training takes for their reward.
      judge: ranks the responses of a group by that.
      scope: what a reward is measured against: a name of `SCOPES`.
      shape: from there to credit: of `SHAPES`.
      temperature: β of credit of the shape "exp"; of "top" the share that is kept.
      kl: what a nat of log π/π_ref costs of the reward that is credited.
      pairing: how groups become comparisons: a name of `PAIRINGS`.
      every: rounds after which the reference becomes the agent; never, if 0.
      mix: α, how far it goes to the agent then.
      share: ρ, of the prompts, those that a round answers anew, where `by` says which.
      by: which they are: a name of `BY`; all of them by default.
      budget: responses that are written in all, at most; what is left of it is a bound of every
        round, and with nothing left the last pool is trained on. For comparing shares.
    """

    what = "the regime"

    task: Writer = static()
    writer: str = one_of(POLICY, WRITERS)
    prompts: int = count(16)
    responses: int = count(4)
    fresh: bool = switch(True)
    reuse: int = count(1)
    segment: int | None = count(None)
    grader: Grader = field(default_factory=Truth)
    judge: Ranking = field(default_factory=Ranked, metadata={"static": True})
    scope: str = one_of("raw", SCOPES)
    shape: str = one_of(LINEAR, SHAPES)
    temperature: Number = number(1.0, above=0.0)
    kl: Number = number(0.0, at_least=0.0)
    pairing: str = one_of("all", PAIRINGS)
    every: int = count(0, at_least=0)
    mix: Number = number(1.0, at_least=0.0, at_most=1.0)
    share: Number = number(1.0, at_least=0.0, at_most=1.0)
    by: str = one_of("all", BY)
    budget: int | None = count(None)

    def __post_init__(self) -> None:
        """Refuse settings that cannot be together."""
        super().__post_init__()
        if self.responses < PAIRINGS[self.pairing].least:
            raise RequestError(
                f"regime.pairing={self.pairing!r} needs regime.responses of 2 or more, "
                f"not {self.responses}"
            )
        if self.by != "all" and self.writer != POLICY:
            raise RequestError(
                f"regime.by={self.by!r} answers prompts anew, and regime.writer={self.writer!r} "
                "writes nothing after the first round: say regime.writer='policy'"
            )
        if isinstance(self.kl, float) and self.kl > 0 and self.writer != POLICY:
            raise RequestError(
                f"regime.kl={self.kl:g} is a cost of how far the writer went from the reference, "
                f"and with regime.writer={self.writer!r} it is nowhere: say regime.writer='policy'"
            )
        if self.by != "all" and self.fresh:
            raise RequestError(
                f"regime.by={self.by!r} keeps prompts, and regime.fresh=true gives every round "
                "others: say regime.fresh=false"
            )
        if self.budget is not None and self.by == "all":
            raise RequestError(
                f"regime.budget={self.budget} bounds what is answered anew, and regime.by='all' "
                "answers every prompt: say which are first, such as regime.by='lowest'"
            )
        if self.budget is not None and self.budget < self.prompts * self.responses:
            raise RequestError(
                f"regime.budget={self.budget} is less than the first pool has, regime.prompts="
                f"{self.prompts} times regime.responses={self.responses}"
            )

    @property
    def groups(self) -> int:
        """How many groups a pool that is written has: prompts, times the segments of each."""
        steps = self.segment or self.task.horizon
        return self.prompts * -(-self.task.horizon // steps)

    @property
    def size(self) -> int:
        """How many comparisons a pool that is written has."""
        return self.groups * per_group(self.pairing, self.responses)

    def rounds(self, updates: int, batch: int) -> int:
        """Return how many pools are written in so many updates.

        Raises:
          RequestError: passes over a pool are no whole number of updates.
        """
        if self.writer != POLICY:
            return 1
        if (self.reuse * self.size) % batch:
            raise RequestError(
                f"regime.reuse={self.reuse} passes over a pool of {self.size} comparisons are no "
                f"whole number of updates of batch={batch}"
            )
        length = self.reuse * self.size // batch
        if updates % length:
            raise RequestError(
                f"updates={updates} is no multiple of the {length} updates of a round, "
                f"regime.reuse={self.reuse} passes over {self.size} comparisons by {batch}"
            )
        return updates // length

    def init(self, source: Any, policy: Policy, params: Params, key: PRNGKeyArray) -> Memory:
        """Return the prompts, and the reference: the agent before training."""
        zero = jnp.zeros(())
        starts = () if self.writer == DATA else self.starts(jax.random.fold_in(key, 0))
        kept = self.by != "all"
        shape = jax.eval_shape(self.write, params, starts, key) if kept else {}
        written = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shape)
        return Memory(starts, written, params, zero, zero, jnp.zeros(2))

    def __call__(
        self,
        source: Any,
        policy: Policy,
        params: Params,
        state: Memory,
        key: PRNGKeyArray,
        number: Int[Array, ""],
    ) -> tuple[Source, Memory]:
        """Return the pool of a round, and what is handed on."""
        write_key, judge_key, pair_key, select_key, start_key = (
            jax.random.fold_in(key, stream) for stream in range(5)
        )
        if self.every:
            due = (number > 0) & (number % self.every == 0)
            moved = jax.tree.map(
                lambda old, new: old + jnp.asarray(self.mix, old.dtype) * (new - old),
                state.reference,
                params,
            )
            reference = jax.tree.map(
                lambda new, old: jnp.where(due, new, old), moved, state.reference
            )
            state = replace(state, reference=reference)
        writer = params if self.writer == POLICY else state.reference
        grader = source.grader if isinstance(source, Graded) else self.grader
        if self.writer == DATA:
            groups: Source = source
        else:
            if self.fresh:
                state = replace(state, starts=self.starts(start_key))
            state = self._written(
                policy, params, writer, grader, state, write_key, select_key, number
            )
            groups, state = self._taken(state)

        def table(of: Callable[..., Array]) -> Array:
            return tabulated(groups, of, min(_CHUNK, groups.size))

        sampled = table(lambda batch: log_probs(policy, writer, batch))
        ref = table(lambda batch: log_probs(policy, state.reference, batch))
        graded = table(lambda batch: grader(batch, policy, params, state.reference))
        charged = graded - self.kl * (sampled - ref)
        keys = jax.random.split(judge_key, graded.shape[0])
        if self.writer == DATA and isinstance(grader, Truth):  # it is ranked already
            order = jnp.broadcast_to(jnp.arange(graded.shape[1], dtype=jnp.int32), graded.shape)
        else:
            order = jax.vmap(self.judge.rank)(keys, graded).astype(jnp.int32)
        places = paired(self.pairing, order, pair_key).reshape(-1, _chosen(self, graded.shape[1]))
        worth = jnp.repeat(graded, places.shape[0] // graded.shape[0], axis=0)
        ends = jnp.take_along_axis(worth, places[:, jnp.array([0, -1])], axis=1)
        tied = (ends[:, 0] == ends[:, 1]) & (self.pairing != "all")
        pool = Pool(
            source=groups,
            places=places,
            weight=jnp.where(tied, 0.0, 1.0),
            reward=graded,
            credit=credited(charged, self.scope, self.shape, self.temperature),
            sampled_logp=None if self.writer == DATA else sampled,
            ref_logp=ref,
        )
        return pool, state

    def hint(self, state: Memory) -> None:
        """Return no direction."""
        return

    def report(
        self, pool: Source, policy: Policy, params: Params, state: Memory
    ) -> dict[str, Float[Array, ""]]:
        """Return what is recorded of a round.

        Responses and steps written so far; true and graded reward of the pool, and of the true one
        that of the responses kept and of those written in this round; KL of the writer to the
        reference, and of the writer to the agent at the end of the round, in nats of an item; the
        mean of |log ratio| of the agent to the writer, and its greatest; share of groups without
        signal.
        """
        assert isinstance(pool, Pool)
        chunk = min(_CHUNK, len(pool.reward))
        now = tabulated(pool.source, lambda batch: log_probs(policy, params, batch), chunk)
        one = jax.eval_shape(pool.source.batch, jax.ShapeDtypeStruct((1,), jnp.int32))
        seen = {
            "samples": state.samples,
            "steps": state.steps,
            "graded": jnp.mean(pool.reward),
            "no_signal": no_signal(pool.reward),
        }
        if one.reward is not None:
            seen["reward"] = jnp.mean(tabulated(pool.source, _truth, chunk))
        if self.by != "all":
            seen |= {"reward_kept": state.kept[0], "reward_new": state.kept[1]}
        if pool.sampled_logp is not None:
            ratio = now - pool.sampled_logp
            seen |= {
                "kl_writer": -jnp.mean(ratio),
                "ratio": jnp.mean(jnp.abs(ratio)),
                "ratio_most": jnp.max(jnp.abs(ratio)),
            }
            if pool.ref_logp is not None:
                seen["kl_reference"] = jnp.mean(pool.sampled_logp - pool.ref_logp)
        return {name: jnp.asarray(value, float) for name, value in seen.items()}

    def starts(self, key: PRNGKeyArray) -> Starts:
        """Draw the prompts of a pool."""
        return jax.vmap(self.task.start)(jax.random.split(key, self.prompts))

    def write(self, params: Params, starts: Starts, key: PRNGKeyArray) -> Written:
        """Write C responses to each prompt: arrays [P, C, …] by name."""

        def one(start: Any, key: PRNGKeyArray) -> Written:
            found = self.task.respond(params, start, key)
            return {
                "inputs": found.inputs,
                "outputs": found.outputs,
                "lengths": jnp.sum(found.mask, axis=-1, dtype=jnp.int32),
                "total": found.total,
            }

        size = jax.tree.leaves(starts)[0].shape[0]
        keys = jax.random.split(key, (size, self.responses))
        return jax.vmap(jax.vmap(one, (None, 0)))(starts, keys)

    def _written(
        self,
        policy: Policy,
        params: Params,
        writer: Params,
        grader: Grader,
        state: Memory,
        key: PRNGKeyArray,
        select_key: PRNGKeyArray,
        number: Int[Array, ""],
    ) -> Memory:
        """Return the state with the responses of a round; some may be those of the last."""
        score = BY[self.by]
        if score is None:
            return replace(state, written=self.write(writer, state.starts, key))
        old = state.written
        groups = self.view(old)
        rows = jnp.arange(self.prompts, dtype=jnp.int32)
        whole = groups.cut(None).batch(rows)
        rewards = grader(whole, policy, params, state.reference)
        ratio = log_probs(policy, params, whole) - log_probs(policy, state.reference, whole)
        best = jnp.stack([jnp.argmax(rewards, axis=1), jnp.argmin(rewards, axis=1)], axis=1)
        margins = jnp.take_along_axis(ratio, best, axis=1)
        by = score(rewards, select_key, margins[:, 0] - margins[:, 1])
        order = jnp.argsort(by, stable=True).astype(jnp.int32)
        count_ = jnp.where(number == 0, self.prompts, jnp.ceil(self.share * self.prompts - 1e-6))
        if self.budget is not None:
            count_ = jnp.minimum(count_, (self.budget - state.samples) // self.responses)
        count_ = count_.astype(jnp.int32)
        part = -(-self.prompts // _PARTS)
        filled = jnp.concatenate([order, jnp.full(part, self.prompts, jnp.int32)])

        def write(at: Int[Array, ""], written: Written) -> Written:
            places = at * part + jnp.arange(part, dtype=jnp.int32)
            chosen = jnp.where(places < count_, filled[places], self.prompts)
            starts = jax.tree.map(
                lambda leaf: leaf[jnp.minimum(chosen, self.prompts - 1)], state.starts
            )
            new = self.write(writer, starts, jax.random.fold_in(key, at))
            return jax.tree.map(  # a place beyond the last prompt is dropped
                lambda old, new: old.at[chosen].set(new, mode="drop"), written, new
            )

        written: Written = jax.lax.fori_loop(0, (count_ + part - 1) // part, write, old)
        rank = jnp.argsort(order)
        anew = (rank < count_)[:, None]
        total = written["total"]
        means = [
            jnp.sum(jnp.where(which, total, 0))
            / _real(jnp.maximum(jnp.sum(which) * self.responses, 1))
            for which in (~anew, anew)
        ]
        return replace(
            state,
            written=written,
            kept=jnp.stack(means),
            samples=state.samples + _real(count_ * self.responses),
            steps=state.steps + _real(jnp.sum(jnp.where(anew, written["lengths"], 0))),
        )

    def _taken(self, state: Memory) -> tuple[Responses, Memory]:
        """Return the pool as a source; what need not be kept is not."""
        groups = self.view(state.written)
        if self.by != "all":
            return groups, state
        return groups, replace(
            state,
            written={},
            samples=state.samples + self.prompts * self.responses,
            steps=state.steps + _real(jnp.sum(state.written["lengths"])),
        )

    def view(self, written: Written) -> Responses:
        """Return responses as comparisons, cut into segments."""
        return Responses(
            inputs=written["inputs"],
            outputs=written["outputs"],
            lengths=written["lengths"],
            reward=written["total"],
            ref_logp=None,
            steps=self.task.horizon,
        ).cut(self.segment)


def _chosen(regime: Regime, responses: int) -> int:
    """Return how many responses stand in a comparison."""
    return responses if regime.pairing == "all" else 2


def _truth(batch: Batch) -> Array:
    assert batch.reward is not None
    return batch.reward


def _real(count_: Array) -> Array:
    return count_.astype(float)


def updates_of(regime: Regime, draws: int, batch: int) -> int:
    """Return the updates of so many pools."""
    return math.ceil(draws * regime.reuse * regime.size / batch)
