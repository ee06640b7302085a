"""The judge: how good a story is, by the rules of the language. The truth, not a model of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from envs.language.lexicon import (
    ADJECTIVES,
    CONNECTIVES,
    DEFINITE,
    INDEFINITE,
    KIND_OF,
    PLACES,
    PRONOUN,
    STOP,
    animal_forms,
    verb_forms,
)
from envs.language.stories import Request, understood

_VERBS: Final = verb_forms()
_ANIMALS: Final = animal_forms()
_PLURAL_PRONOUN: Final = {word: plural for plural, word in PRONOUN.items()}
_PLURAL_ARTICLE: Final = {word: plural for plural, word in INDEFINITE.items()}


TASTE: Final = 1 / 3


@dataclass(frozen=True)
class Sentence:
    """A sentence that was understood: what it says, and whether its words fit each other.

    Attributes:
      animal: in the singular; `None` for a pronoun.
      plural: number of the subject.
      verb: as written.
      thing: the object, if there is one.
      place: where, if it says so.
      agrees: article and verb have the number of the subject.
      makes_sense: the verb takes such a thing, and the place such a preposition.
      coloured: there is an adjective in it.
    """

    animal: str | None
    plural: bool
    verb: str
    thing: str | None
    place: str | None
    agrees: bool
    makes_sense: bool
    coloured: bool


@dataclass(frozen=True)
class Verdict:
    """What the judge thinks of a story; every part lies in [0, 1].

    Attributes:
      grammar: share of the sentences that can be understood.
      agreement: share of those whose numbers agree, and are those of the request.
      sense: share of those whose verbs and places take what stands beside them.
      faithful: share of animal, place and things that occur as asked.
      count: how near the number of sentences is to what was asked.
      variety: share of the verbs that are not repeated.
      colour: share of the sentences understood that have an adjective.
    """

    grammar: float
    agreement: float
    sense: float
    faithful: float
    count: float
    variety: float
    colour: float

    @property
    def reward(self) -> float:
        """What the story is worth, in [0, 1]."""
        worth: float = worth_of(vars(self))
        return worth


def worth_of(parts: Mapping[str, Any]) -> Any:
    """Return two thirds for keeping to the rules, their mean, and one third for colour.

    Whoever keeps to the rules writes what is likely; a taste is needed for preferences
    to ask for more than that, as those of people do.

    Args:
      parts: of a `Verdict`, by name and in its order; numbers or arrays.
    """
    rules = [value for name, value in parts.items() if name != "colour"]
    return (1 - TASTE) * sum(rules) / len(rules) + TASTE * parts["colour"]


def reward(prompt: str, response: str) -> float:
    """Return how good a response to a prompt is, in [0, 1].

    Raises:
      ValueError: the prompt is no request for a story.
    """
    return judge(understood(prompt), response).reward


def judge(request: Request, response: str) -> Verdict:
    """Return the verdict on a story."""
    *texts, rest = [part.split() for part in response.split(STOP)]
    texts += [rest] if rest else []  # what has no full stop is a sentence that is not understood
    read = [understand(text) for text in texts[: len(texts) - bool(rest)]]
    known = [sentence for sentence in read if sentence is not None]
    verbs = [sentence.verb for sentence in known]
    off = abs(len(texts) - request.sentences) / request.sentences
    return Verdict(
        grammar=_share(len(known), len(texts)),
        agreement=_share(sum(s.agrees and s.plural == request.plural for s in known), len(known)),
        sense=_share(sum(s.makes_sense for s in known), len(known)),
        faithful=_faithful(request, known),
        count=max(0.0, 1.0 - off),
        variety=_share(len(set(verbs)), len(verbs)),
        colour=_share(sum(s.coloured for s in known), len(known)),
    )


def understand(words: list[str]) -> Sentence | None:
    """Return what a sentence (without its full stop) says, or `None` if it is none."""
    rest = words[1:] if words[:1] and words[0] in CONNECTIVES else words
    subject = _subject(rest)
    if subject is None:
        return None
    animal, plural, fits, rest = subject
    if not rest or rest[0] not in _VERBS:
        return None
    verb, rest = rest[0], rest[1:]
    thing, rest = _object(rest)
    place, preposition, rest = _place(rest)
    if rest:
        return None
    kind, verb_plural = _VERBS[verb]
    return Sentence(
        animal=animal,
        plural=plural,
        verb=verb,
        thing=thing,
        place=place,
        agrees=fits and verb_plural == plural,
        makes_sense=kind == (KIND_OF[thing] if thing else "none")
        and (place is None or PLACES[place] == preposition),
        coloured=any(word in ADJECTIVES for word in words),
    )


def _subject(words: list[str]) -> tuple[str | None, bool, bool, list[str]] | None:
    """Return animal, number, whether the article has it too, and the words that follow."""
    if not words:
        return None
    if words[0] in _PLURAL_PRONOUN:
        return None, _PLURAL_PRONOUN[words[0]], True, words[1:]
    article, rest = words[0], _past_adjective(words[1:])
    if article not in (DEFINITE, *_PLURAL_ARTICLE) or not rest or rest[0] not in _ANIMALS:
        return None
    animal, plural = _ANIMALS[rest[0]]
    return animal, plural, _PLURAL_ARTICLE.get(article, plural) == plural, rest[1:]


def _object(words: list[str]) -> tuple[str | None, list[str]]:
    after = _past_adjective(words[1:])
    if words[:1] == [DEFINITE] and after and after[0] in KIND_OF:
        return after[0], after[1:]
    return None, words


def _place(words: list[str]) -> tuple[str | None, str | None, list[str]]:
    known = len(words) >= 3 and words[0] in PLACES.values() and words[1] == DEFINITE
    if known and words[2] in PLACES:
        return words[2], words[0], words[3:]
    return None, None, words


def _past_adjective(words: list[str]) -> list[str]:
    return words[1:] if words[:1] and words[0] in ADJECTIVES else words


def _faithful(request: Request, known: list[Sentence]) -> float:
    named = [sentence.animal for sentence in known if sentence.animal is not None]
    things = {sentence.thing for sentence in known}
    met = [
        bool(named) and all(name == request.animal for name in named),
        any(sentence.place == request.place for sentence in known),
        *(thing in things for thing in request.things),
    ]
    return sum(met) / len(met)


def _share(some: int, all_of_them: int) -> float:
    return some / all_of_them if all_of_them else 0.0
