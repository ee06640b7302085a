"""The judge's rules over numbers of tokens, in JAX: the verdict of `envs.language.judge`, traced.

A story is read once, token after token, by the automaton of a sentence:

    [connective] (pronoun | article [adjective] animal) verb [the [adjective] thing]
    [preposition the place] .
"""

from collections.abc import Iterable, Mapping
from enum import IntEnum, auto
from typing import Final, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from envs.language import lexicon
from envs.language.judge import worth_of

T = TypeVar("T")

NUMBER: Final = lexicon.vocabulary()
"""The number of every token."""
PAD, END = NUMBER[lexicon.PAD], NUMBER[lexicon.END]
PROMPT: Final = 12
"""Tokens of a request."""

_STOP: Final = NUMBER[lexicon.STOP]
_SIZE: Final = len(NUMBER)
_NOTHING: Final = -1


class _Word(IntEnum):
    """What a token can be in a sentence."""

    OTHER = 0
    CONNECTIVE = auto()
    PRONOUN = auto()
    DEFINITE = auto()
    INDEFINITE = auto()
    ADJECTIVE = auto()
    ANIMAL = auto()
    VERB = auto()
    THING = auto()
    PREPOSITION = auto()
    PLACE = auto()


class _State(IntEnum):
    """Where a reader is in a sentence; the last is where nothing makes it one any more."""

    BEGIN = 0
    CONNECTED = auto()
    ARTICLE = auto()
    ARTICLE_COLOURED = auto()
    SUBJECT = auto()
    VERB = auto()
    OF_THING = auto()
    OF_THING_COLOURED = auto()
    THING = auto()
    PREPOSITION = auto()
    OF_PLACE = auto()
    PLACE = auto()
    LOST = auto()


_STEPS: Final = (
    (_State.BEGIN, _Word.CONNECTIVE, _State.CONNECTED),
    *(
        step
        for begin in (_State.BEGIN, _State.CONNECTED)
        for step in (
            (begin, _Word.PRONOUN, _State.SUBJECT),
            (begin, _Word.DEFINITE, _State.ARTICLE),
            (begin, _Word.INDEFINITE, _State.ARTICLE),
        )
    ),
    (_State.ARTICLE, _Word.ADJECTIVE, _State.ARTICLE_COLOURED),
    (_State.ARTICLE, _Word.ANIMAL, _State.SUBJECT),
    (_State.ARTICLE_COLOURED, _Word.ANIMAL, _State.SUBJECT),
    (_State.SUBJECT, _Word.VERB, _State.VERB),
    (_State.VERB, _Word.DEFINITE, _State.OF_THING),
    (_State.VERB, _Word.PREPOSITION, _State.PREPOSITION),
    (_State.OF_THING, _Word.ADJECTIVE, _State.OF_THING_COLOURED),
    (_State.OF_THING, _Word.THING, _State.THING),
    (_State.OF_THING_COLOURED, _Word.THING, _State.THING),
    (_State.THING, _Word.PREPOSITION, _State.PREPOSITION),
    (_State.PREPOSITION, _Word.DEFINITE, _State.OF_PLACE),
    (_State.OF_PLACE, _Word.PLACE, _State.PLACE),
)
_NEXT: Final = np.full((len(_State), len(_Word)), _State.LOST, np.int32)
for _before, _word, _after in _STEPS:
    _NEXT[_before, _word] = _after

_WHOLE: Final = np.isin(np.arange(len(_State)), (_State.VERB, _State.THING, _State.PLACE))
"""Whether a full stop after a state ends a sentence that is understood."""


def _marked(values: Mapping[str, int] | Iterable[tuple[str, int]]) -> Int[np.ndarray, " V"]:
    """Return a number for each token: those given, by word, and `_NOTHING` for the others."""
    found = np.full(_SIZE, _NOTHING, np.int32)
    for word, value in dict(values).items():
        found[NUMBER[word]] = value
    return found


_KINDS: Final = {kind: number for number, kind in enumerate(lexicon.VERBS)}
_VERBS: Final = lexicon.verb_forms()
_ANIMALS: Final = lexicon.animal_forms()

_WORD: Final = np.maximum(
    _marked(
        {
            **dict.fromkeys(lexicon.CONNECTIVES, _Word.CONNECTIVE),
            **dict.fromkeys(lexicon.PRONOUN.values(), _Word.PRONOUN),
            lexicon.DEFINITE: _Word.DEFINITE,
            **dict.fromkeys(lexicon.INDEFINITE.values(), _Word.INDEFINITE),
            **dict.fromkeys(lexicon.ADJECTIVES, _Word.ADJECTIVE),
            **dict.fromkeys(_ANIMALS, _Word.ANIMAL),
            **dict.fromkeys(_VERBS, _Word.VERB),
            **dict.fromkeys(lexicon.KIND_OF, _Word.THING),
            **dict.fromkeys(lexicon.PLACES.values(), _Word.PREPOSITION),
            **dict.fromkeys(lexicon.PLACES, _Word.PLACE),
        }
    ),
    _Word.OTHER,
)
_ANIMAL: Final = _marked(
    {form: list(lexicon.ANIMALS).index(name) for form, (name, _) in _ANIMALS.items()}
)
_PLURAL: Final = _marked(
    {
        **{word: plural for plural, word in lexicon.PRONOUN.items()},
        **{word: plural for plural, word in lexicon.INDEFINITE.items()},
        **{form: plural for form, (_, plural) in _ANIMALS.items()},
        **{form: plural for form, (_, plural) in _VERBS.items()},
    }
)
_KIND: Final = _marked(
    {
        **{form: _KINDS[kind] for form, (kind, _) in _VERBS.items()},
        **{thing: _KINDS[kind] for thing, kind in lexicon.KIND_OF.items()},
    }
)
_VERB: Final = _marked({form: number for number, form in enumerate(_VERBS)})
_PREPOSITION: Final = _marked(
    {place: NUMBER[preposition] for place, preposition in lexicon.PLACES.items()}
)
_COUNT: Final = _marked({word: number for number, word in lexicon.COUNTS.items()})


class _Sentence(NamedTuple):
    """What has been read of a sentence; tokens by number, `_NOTHING` where there was none yet."""

    state: Int[Array, ""]
    empty: Bool[Array, ""]
    article: Int[Array, ""]
    subject: Int[Array, ""]
    verb: Int[Array, ""]
    thing: Int[Array, ""]
    preposition: Int[Array, ""]
    place: Int[Array, ""]
    coloured: Bool[Array, ""]


class _Story(NamedTuple):
    """What is known of the sentences that ended, in numbers of them, or whether any did."""

    sentences: Int[Array, ""]
    known: Int[Array, ""]
    agreeing: Int[Array, ""]
    sensible: Int[Array, ""]
    coloured: Int[Array, ""]
    verbs: Bool[Array, " forms"]
    named: Bool[Array, ""]
    misnamed: Bool[Array, ""]
    placed: Bool[Array, ""]
    things: Bool[Array, "2"]


def verdict(prompt: Int[Array, "12"], response: Int[Array, " T"]) -> dict[str, Float[Array, ""]]:
    """Return the parts of `envs.language.judge.Verdict`, by name and in their order.

    Args:
      prompt: a request for a story.
      response: the story; what follows its first end does not count, nor do tokens that are no
        words.
    """
    ended = jnp.cumsum(response == END) > 0
    spoken = jnp.where(ended, PAD, response).astype(jnp.int32)

    def read(
        carry: tuple[_Sentence, _Story], token: Int[Array, ""]
    ) -> tuple[tuple[_Sentence, _Story], None]:
        sentence, story = carry
        stops, says = token == _STOP, token >= len(lexicon.SPECIAL)
        after = _told(story, sentence, prompt)
        sentence = _where(says, _where(stops, _blank(), _read(sentence, token)), sentence)
        return (sentence, _where(stops, after, story)), None

    (rest, story), _ = jax.lax.scan(read, (_blank(), _untold()), spoken)
    sentences = story.sentences + (~rest.empty).astype(jnp.int32)  # without its full stop
    asked = jnp.asarray(_COUNT)[prompt[1]].astype(float)
    off = jnp.abs(sentences.astype(float) - asked) / asked
    met = [story.named & ~story.misnamed, story.placed, *story.things]
    return {
        "grammar": _share(story.known, sentences),
        "agreement": _share(story.agreeing, story.known),
        "sense": _share(story.sensible, story.known),
        "faithful": jnp.sum(jnp.stack(met), dtype=float) / len(met),
        "count": jnp.maximum(0.0, 1.0 - off),
        "variety": _share(jnp.sum(story.verbs, dtype=jnp.int32), story.known),
        "colour": _share(story.coloured, story.known),
    }


def reward(prompt: Int[Array, "12"], response: Int[Array, " T"]) -> Float[Array, ""]:
    """Return how good a response to a prompt is, in [0, 1]: `envs.language.judge.reward`."""
    worth: Float[Array, ""] = worth_of(verdict(prompt, response))
    return worth


def _blank() -> _Sentence:
    """Return a sentence of which nothing is read."""
    nothing = jnp.int32(_NOTHING)
    tokens = {"article", "subject", "verb", "thing", "preposition", "place"}
    return _Sentence(
        state=jnp.int32(_State.BEGIN),
        empty=jnp.bool_(True),
        coloured=jnp.bool_(False),
        **dict.fromkeys(tokens, nothing),
    )


def _untold() -> _Story:
    """Return a story without a sentence."""
    counts = {"sentences", "known", "agreeing", "sensible", "coloured"}
    return _Story(
        verbs=jnp.zeros(len(_VERBS), bool),
        things=jnp.zeros(2, bool),
        **dict.fromkeys(counts, jnp.int32(0)),
        **dict.fromkeys({"named", "misnamed", "placed"}, jnp.bool_(False)),
    )


def _read(sentence: _Sentence, token: Int[Array, ""]) -> _Sentence:
    """Return the sentence with a word more."""
    word = jnp.asarray(_WORD)[token]
    state = jnp.asarray(_NEXT)[sentence.state, word]

    def kept(before: Int[Array, ""], *places: _State) -> Int[Array, ""]:
        there = jnp.isin(state, jnp.asarray(places, jnp.int32))
        return jnp.where(there, token, before)

    return _Sentence(
        state=state,
        empty=jnp.bool_(False),
        article=kept(sentence.article, _State.ARTICLE),
        subject=kept(sentence.subject, _State.SUBJECT),
        verb=kept(sentence.verb, _State.VERB),
        thing=kept(sentence.thing, _State.THING),
        preposition=kept(sentence.preposition, _State.PREPOSITION),
        place=kept(sentence.place, _State.PLACE),
        coloured=sentence.coloured | (word == _Word.ADJECTIVE),
    )


def _told(story: _Story, sentence: _Sentence, prompt: Int[Array, "12"]) -> _Story:
    """Return the story after a full stop."""
    known = jnp.asarray(_WHOLE)[sentence.state]
    plural = jnp.asarray(_PLURAL)
    number = plural[sentence.subject]
    article = jnp.where(sentence.article == _NOTHING, _NOTHING, plural[sentence.article])
    agrees = (
        ((article == _NOTHING) | (article == number))
        & (plural[sentence.verb] == number)
        & (number == plural[prompt[3]])
    )
    kind = jnp.asarray(_KIND)
    takes = jnp.where(sentence.thing == _NOTHING, _KINDS["none"], kind[sentence.thing])
    right = jnp.asarray(_PREPOSITION)[sentence.place] == sentence.preposition
    sensible = (kind[sentence.verb] == takes) & ((sentence.place == _NOTHING) | right)
    animal = jnp.asarray(_ANIMAL)
    named = known & (animal[sentence.subject] != _NOTHING)
    verbs = jnp.arange(len(_VERBS)) == jnp.asarray(_VERB)[sentence.verb]

    def more(count: Int[Array, ""], so: Bool[Array, ""]) -> Int[Array, ""]:
        return count + (known & so).astype(jnp.int32)

    return _Story(
        sentences=story.sentences + 1,
        known=story.known + known.astype(jnp.int32),
        agreeing=more(story.agreeing, agrees),
        sensible=more(story.sensible, sensible),
        coloured=more(story.coloured, sentence.coloured),
        verbs=story.verbs | (known & verbs),
        named=story.named | named,
        misnamed=story.misnamed | (named & (animal[sentence.subject] != animal[prompt[4]])),
        placed=story.placed | (known & (sentence.place == prompt[6])),
        things=story.things | (known & (sentence.thing == prompt[jnp.array([8, 10])])),
    )


def _where(condition: Bool[Array, ""], one: T, other: T) -> T:
    """Return one of two trees, leaf by leaf."""
    found: T = jax.tree.map(lambda a, b: jnp.where(condition, a, b), one, other)
    return found


def _share(some: Int[Array, ""], all_of_them: Int[Array, ""]) -> Float[Array, ""]:
    found = some.astype(float) / jnp.maximum(all_of_them, 1).astype(float)
    return jnp.where(all_of_them > 0, found, 0.0)
