"""The words of a small language, and what each demands of the others."""

from typing import Final

PAD, END, UNKNOWN = SPECIAL = ("<pad>", "</s>", "<unk>")
"""Tokens that are no words: what fills up, what ends a response, what is not known."""

ANIMALS: Final = {
    "fox": "foxes", "owl": "owls", "bear": "bears", "hare": "hares", "wolf": "wolves",
    "duck": "ducks", "mouse": "mice", "frog": "frogs", "goat": "goats", "crow": "crows",
}  # fmt: skip

# A verb takes things of one kind only; those of kind "none" take nothing.
VERBS: Final = {
    "food": {"eats": "eat", "cooks": "cook", "shares": "share", "tastes": "taste"},
    "tool": {"carries": "carry", "hides": "hide", "mends": "mend", "borrows": "borrow"},
    "tune": {"sings": "sing", "learns": "learn", "hums": "hum", "forgets": "forget"},
    "none": {"sleeps": "sleep", "dances": "dance", "waits": "wait", "laughs": "laugh"},
}
THINGS: Final = {
    "food": ("apple", "honey", "bread", "berry", "cheese", "soup"),
    "tool": ("rope", "lamp", "key", "basket", "ladder", "drum"),
    "tune": ("ballad", "hymn", "carol", "march", "waltz", "anthem"),
}

# Where one is takes its own preposition.
PLACES: Final = {
    "river": "by", "lake": "by", "hill": "on", "roof": "on",
    "cave": "in", "garden": "in", "forest": "in", "tower": "in",
}  # fmt: skip

ADJECTIVES: Final = ("old", "small", "happy", "quiet", "clever", "grey")
CONNECTIVES: Final = ("then", "later", "soon")
COUNTS: Final = {2: "two", 3: "three", 4: "four"}
INDEFINITE: Final = {False: "one", True: "some"}  # by whether it is plural
PRONOUN: Final = {False: "it", True: "they"}
DEFINITE: Final = "the"
STOP: Final = "."
ASK, COLON, COMMA, ANSWER = "tell", ":", ",", ";"

KIND_OF: Final = {thing: kind for kind, things in THINGS.items() for thing in things}


def verb_forms() -> dict[str, tuple[str, bool]]:
    """Return kind and number (plural or not) of every form of a verb."""
    forms: dict[str, tuple[str, bool]] = {}
    for kind, verbs in VERBS.items():
        for singular, plural in verbs.items():
            forms |= {singular: (kind, False), plural: (kind, True)}
    return forms


def animal_forms() -> dict[str, tuple[str, bool]]:
    """Return name and number (plural or not) of every form of an animal."""
    forms: dict[str, tuple[str, bool]] = {}
    for singular, plural in ANIMALS.items():
        forms |= {singular: (singular, False), plural: (singular, True)}
    return forms


def words() -> list[str]:
    """Return every word, in a fixed order."""
    found = [*verb_forms(), *animal_forms(), *KIND_OF, *PLACES, *PLACES.values(), *ADJECTIVES]
    found += [*CONNECTIVES, *COUNTS.values(), *INDEFINITE.values(), *PRONOUN.values()]
    found += [DEFINITE, STOP, ASK, COLON, COMMA, ANSWER]
    return list(dict.fromkeys(found))


def vocabulary() -> dict[str, int]:
    """Return the number of every token: those that are no words, then the words."""
    return {token: number for number, token in enumerate((*SPECIAL, *words()))}
