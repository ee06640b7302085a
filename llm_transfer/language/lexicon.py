"""The words of a small language, what each demands of the others, and their tokenizer."""

from typing import Any, Final

PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"

# A prompt and a story in one conversation: what messages hold, and the end of the last answer.
TEMPLATE = (
    "{% for m in messages %}{{ m['content'] }}"
    "{% if m['role'] == 'assistant' %}{{ eos_token }}{% else %}{{ ' ' }}{% endif %}{% endfor %}"
)


def tokenizer() -> Any:
    """Return the tokenizer, as `transformers` has it."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate((PAD, END, UNKNOWN, *words()))}
    fast = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    fast.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=fast,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        chat_template=TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )


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
