"""The small language as a task: a prompt asks for a story, and a judge knows how good one is."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray
from typing_extensions import override

from envs import agents
from envs.base import Defaults, Params, Response, Task
from envs.language import lexicon, rules, texts
from envs.language.rules import END, NUMBER, PAD, PROMPT
from mpo.errors import unknown
from mpo.policies import GPTPolicy
from mpo.settings import count

LAYERS, HEADS, WIDTH = 3, 4, 96
WINDOW: Final = 76
"""Tokens that agents have places for: a request, and 64 more."""
HELD_OUT: Final = 256
"""Pairs of the split "test" that accuracy is the share of."""

_AT_ONCE: Final = 64

BASE, EXPERT = "base", "expert"
HOTTER: Final[Mapping[str, tuple[str, float]]] = {
    "poor": (BASE, 1.5),
    "medium": (EXPERT, 1.3),
}
"""Writers that are another one at a higher temperature: whose, and at which."""


@dataclass(frozen=True)
class Language(Task):
    """Stories of a small language, by a GPT of 0.36 million weights; judged by its rules.

    A start is a request of twelve tokens, `tell three : some foxes , cave , honey , rope ;`. A
    response is a story and the token that ends it, which counts: a mask is true up to and with it.
    One that did not end within the horizon is cut off there, and its last sentence is none. The
    return is the judge's reward of the whole, in [0, 1], two thirds for the rules of the language
    and one for colour, and is paid at the last token.

    Agents are meant to start at the "base", which learned from authors of mixed care.

    Attributes:
      horizon: tokens in a response, its end included.
    """

    horizon: int = count(40, below=WINDOW - PROMPT + 2)

    name: ClassVar[str] = "language"
    defaults: ClassVar[Defaults] = Defaults(
        rows=512,
        reference="poor",
        close="medium",
        apart=(0.84, 0.77),
        roles={BASE: "0.65", EXPERT: "0.84"},
        sizes={"small": "language-small", "paper": "language-small"},
    )
    measures: ClassVar[tuple[str, ...]] = ("win_rate", "accuracy", "kl", "length")

    @property
    @override
    def policy(self) -> GPTPolicy:
        return GPTPolicy(len(NUMBER), self.horizon, LAYERS, HEADS, WIDTH, PROMPT, WINDOW)

    @override
    def initial(self, key: PRNGKeyArray) -> Params:
        """Return the base; every key gives the same."""
        return self.agent(BASE)

    @override
    def start(self, key: PRNGKeyArray) -> Int[Array, "12"]:
        """Draw a request, by the law of `envs.language.stories.request`."""
        keys = iter(jax.random.split(key, 6))

        def drawn(table: Int[np.ndarray, "n *more"]) -> Array:
            return jnp.asarray(table)[jax.random.randint(next(keys), (), 0, len(table), jnp.int32)]

        plural, animal = drawn(np.arange(2, dtype=np.int32)), drawn(_ANIMALS)
        place, number, kinds = drawn(_PLACES), drawn(_COUNTS), drawn(_KINDS)
        which = jax.random.randint(next(keys), (2,), 0, _THINGS.shape[1], jnp.int32)
        things = jnp.asarray(_THINGS)[kinds, which]
        comma = jnp.int32(NUMBER[lexicon.COMMA])
        head = (jnp.int32(NUMBER[lexicon.ASK]), number, jnp.int32(NUMBER[lexicon.COLON]))
        noun = (jnp.asarray(_INDEFINITE)[plural], animal[plural])
        tail = (comma, place, comma, things[0], comma, things[1])
        return jnp.stack([*head, *noun, *tail, jnp.int32(NUMBER[lexicon.ANSWER])])

    @override
    def respond(self, params: Params, start: Int[Array, "12"], key: PRNGKeyArray) -> Response:
        """Write a story; `reward` is zero but at the last token."""
        drawn = self.policy.sample(params, key, start)
        ends = (drawn == END).astype(jnp.int32)
        mask = jnp.cumsum(ends) - ends == 0
        tokens = jnp.where(mask, drawn, PAD).astype(jnp.int32)
        last = jnp.arange(self.horizon) == jnp.sum(mask) - 1
        return Response(start, tokens, jnp.where(last, rules.reward(start, tokens), 0.0), mask)

    @override
    def score(self, params: Params, start: Int[Array, "12"], key: PRNGKeyArray) -> Float[Array, ""]:
        return self.respond(params, start, key).total

    @override
    def agents(self) -> tuple[str, ...]:
        """Return the names of the writers: those that ship, then others at a temperature."""
        return (*agents.levels(self.name, self.defaults.roles), *HOTTER)

    @override
    def agent(self, level: str) -> Params:
        """Return the parameters of the writer `level`; hotter ones are made of those that ship."""
        if level not in self.agents():
            raise unknown(f"agent of {self.name}", level, self.agents())
        writer, temperature = HOTTER.get(level, (level, 1.0))
        name = agents.whole_name(self.name, writer, self.defaults.roles)
        with jax.ensure_compile_time_eval():  # a trace may ask for it, too
            return hotter(agents.load(name).params, temperature)

    def measured(
        self, params: Params, starts: Int[Array, "n 12"], keys: Array
    ) -> dict[str, Float[Array, ""]]:
        """Return what is measured of an agent beside its return; see `measures`.

        win_rate: how often its story is better than the base's to the same request with the same
          random numbers; of equal ones half.
        accuracy: share of held-out pairs whose better story is the likelier one by token. The
          pairs are `HELD_OUT` of `envs.language.corpus`, no agent of this task has written them.
        kl: of stories to the base, in nats, estimated on the agent's own.
        length: tokens of a story, its end included.
        """
        # Kept from being folded into the program, which takes the compiler long.
        base, held_out = jax.lax.optimization_barrier((self.agent(BASE), _held_out(self.horizon)))
        both = jax.tree.map(lambda *leaves: jnp.stack(leaves), params, base)
        respond = jax.vmap(self.respond, (None, 0, 0))
        written = jax.lax.map(lambda one: respond(one, starts, keys), both)
        better = jnp.sign(written.total[0] - written.total[1])
        own = jax.tree.map(lambda leaf: leaf[0], written)
        stories = (own.inputs, own.outputs, jnp.sum(own.mask, axis=-1))
        likely = jax.lax.map(lambda one: self._log_prob(one, *stories), both)
        by_token = self._log_prob(params, *held_out) / held_out[2].astype(float)
        right = jnp.sign(by_token[0::2] - by_token[1::2])
        return {
            "win_rate": 0.5 * (1.0 + jnp.mean(better)),
            "accuracy": 0.5 * (1.0 + jnp.mean(right)),
            "kl": jnp.mean(likely[0] - likely[1]),
            "length": jnp.mean(own.length),
        }

    def _log_prob(
        self,
        params: Params,
        prompts: Int[Array, "n 12"],
        stories: Int[Array, "n T"],
        lengths: Int[Array, " n"],
    ) -> Float[Array, " n"]:
        """Return the log-probability of each story after its prompt, some of them at a time."""

        def one(at: tuple[Array, Array, Array]) -> Float[Array, ""]:
            prompt, story, length = at
            steps = self.policy.log_prob(params, prompt, story)
            return jnp.sum(jnp.where(jnp.arange(self.horizon) < length, steps, 0.0))

        return jax.lax.map(one, (prompts, stories, lengths), batch_size=_AT_ONCE)


def hotter(params: Params, temperature: float) -> Params:
    """Return the writer at another temperature: its logits, the output of a layer, divided."""
    out = jax.tree.map(lambda leaf: leaf / temperature, params["out"])
    return {**params, "out": out}


def _numbers(words: Any) -> Int[np.ndarray, "*n"]:
    return np.vectorize(NUMBER.__getitem__, otypes=[np.int32])(np.array(words))


_ANIMALS: Final = _numbers([*lexicon.ANIMALS.items()])
_PLACES: Final = _numbers([*lexicon.PLACES])
_COUNTS: Final = _numbers([*lexicon.COUNTS.values()])
_INDEFINITE: Final = _numbers([lexicon.INDEFINITE[plural] for plural in (False, True)])
_THINGS: Final = _numbers([*lexicon.THINGS.values()])
_KINDS: Final = np.array([*itertools.permutations(range(len(_THINGS)), 2)], np.int32)


def _held_out(
    horizon: int,
) -> tuple[Int[Array, "n 12"], Int[Array, "n T"], Int[Array, " n"]]:
    """Return prompts, stories and lengths of the held-out pairs, the better story first."""
    pairs = _pairs(horizon)
    stories = pairs["outputs"].reshape(-1, horizon)
    prompts, lengths = pairs["inputs"].reshape(-1, PROMPT), pairs["length"].reshape(-1)
    return jnp.asarray(prompts), jnp.asarray(stories), jnp.asarray(lengths)


@cache
def _pairs(horizon: int) -> dict[str, np.ndarray]:
    return texts.preferences(HELD_OUT, "test", horizon)
