"""Requests for a story, and authors who are careful and colourful to a degree."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from envs.language.lexicon import (
    ADJECTIVES,
    ANIMALS,
    ANSWER,
    ASK,
    COLON,
    COMMA,
    CONNECTIVES,
    COUNTS,
    DEFINITE,
    INDEFINITE,
    KIND_OF,
    PLACES,
    PRONOUN,
    STOP,
    THINGS,
    VERBS,
)

T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """What a story should be: so many sentences on an animal, a place and two things.

    Attributes:
      animal: in the singular.
      plural: whether there are several.
      place: must be named.
      things: must occur, each as the object of a verb of its kind.
      sentences: number of sentences.
    """

    animal: str
    plural: bool
    place: str
    things: tuple[str, str]
    sentences: int

    @property
    def prompt(self) -> str:
        """The request in words, such as `tell three : some foxes , cave , honey , rope ;`."""
        head = f"{ASK} {COUNTS[self.sentences]} {COLON} {INDEFINITE[self.plural]} {self.noun}"
        return f" {COMMA} ".join((head, self.place, *self.things)) + f" {ANSWER}"

    @property
    def noun(self) -> str:
        """The animal in its number."""
        return ANIMALS[self.animal] if self.plural else self.animal


@dataclass(frozen=True)
class Author:
    """How somebody writes.

    Attributes:
      care: how likely each decision is to be taken as it should be.
      colour: how likely a noun is to have an adjective.
    """

    care: float
    colour: float = 0.3


def request(random: Random) -> Request:
    """Return a random request."""
    kinds = random.sample(sorted(THINGS), 2)
    return Request(
        animal=random.choice(sorted(ANIMALS)),
        plural=random.random() < 0.5,
        place=random.choice(sorted(PLACES)),
        things=(random.choice(THINGS[kinds[0]]), random.choice(THINGS[kinds[1]])),
        sentences=random.choice(sorted(COUNTS)),
    )


def understood(prompt: str) -> Request:
    """Return the request that a prompt puts into words.

    Raises:
      ValueError: it is none.
    """
    found = prompt.split()
    if len(found) != 12 or found[0] != ASK:
        raise ValueError(f"not a request for a story: {prompt!r}")
    plural = found[3] == INDEFINITE[True]
    singular = {ANIMALS[name] if plural else name: name for name in ANIMALS}
    count = {word: number for number, word in COUNTS.items()}
    animal, place, *things = found[4], found[6], found[8], found[10]
    if not (
        animal in singular and place in PLACES and KIND_OF.keys() >= {*things} and found[1] in count
    ):
        raise ValueError(f"not a request for a story of this language: {prompt!r}")
    return Request(singular[animal], plural, place, (things[0], things[1]), count[found[1]])


def write(request: Request, author: Author, random: Random) -> str:
    """Return a story of what was asked for."""
    pen = _Pen(request, author, random)
    return " ".join(pen.sentence(number) for number in range(pen.count))


class _Pen:
    def __init__(self, request: Request, author: Author, random: Random) -> None:
        self.request, self.author, self.random = request, author, random
        wrong = [n for n in (1, *COUNTS, 5) if n != request.sentences]
        self.count = self._rightly(request.sentences, lambda: random.choice(wrong))
        # Which sentence names what; a careless author forgets some of it.
        slots = random.sample(range(self.count), min(2, self.count))
        self.things = {slot: self._asked_thing(i) for i, slot in enumerate(slots)}
        self.place = random.randrange(self.count) if self._careful() else -1
        self.verbs: list[str] = []

    def sentence(self, number: int) -> str:
        """Return the sentence of that number, full stop included."""
        thing = self.things.get(number)
        words = [] if number == 0 else [self.random.choice(CONNECTIVES)]
        words += [*self._subject(number), self._verb(KIND_OF[thing] if thing else "none")]
        if thing:
            words += [*self._adjective([DEFINITE]), thing]
        if number == self.place:
            words += [self._preposition(), DEFINITE, self.request.place]
        if not self._careful() and not self._careful():
            self.random.shuffle(words)
        return " ".join((*words, STOP))

    def _careful(self) -> bool:
        return self.random.random() < self.author.care

    def _rightly(self, right: T, wrong: Callable[[], T]) -> T:
        return right if self._careful() else wrong()

    def _asked_thing(self, index: int) -> str:
        return self._rightly(
            self.request.things[index], lambda: self.random.choice(sorted(KIND_OF))
        )

    def _subject(self, number: int) -> list[str]:
        plural = self._rightly(self.request.plural, lambda: not self.request.plural)
        if number and self.random.random() < 0.5:
            return [PRONOUN[plural]]
        animal = self._rightly(self.request.animal, lambda: self.random.choice(sorted(ANIMALS)))
        noun = ANIMALS[animal] if plural else animal
        return [*self._adjective([DEFINITE if number else INDEFINITE[plural]]), noun]

    def _adjective(self, words: list[str]) -> list[str]:
        coloured = self.random.random() < self.author.colour
        return [*words, self.random.choice(ADJECTIVES)] if coloured else words

    def _verb(self, kind: str) -> str:
        kind = self._rightly(kind, lambda: self.random.choice(sorted(VERBS)))
        fresh = [verb for verb in VERBS[kind] if verb not in self.verbs]
        verb = self._rightly(self.random.choice(fresh or [*VERBS[kind]]), self._used_verb(kind))
        self.verbs.append(verb)
        plural = self._rightly(self.request.plural, lambda: not self.request.plural)
        return next(v[verb] if plural else verb for v in VERBS.values() if verb in v)

    def _used_verb(self, kind: str) -> Callable[[], str]:
        return lambda: self.random.choice(self.verbs or [*VERBS[kind]])

    def _preposition(self) -> str:
        right = PLACES[self.request.place]
        return self._rightly(right, lambda: self.random.choice(sorted({*PLACES.values()})))
