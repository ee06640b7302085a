"""Between words and numbers: requests, stories and preferences as arrays of tokens."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from jaxtyping import Int

from envs.language import corpus, lexicon
from envs.language.judge import reward
from envs.language.rules import END, NUMBER, PAD, PROMPT

_WORDS: Final = tuple(NUMBER)


def tokens(text: str) -> list[int]:
    """Return the number of every word of a text."""
    return [NUMBER[word] for word in text.split()]


def said(numbers: Sequence[int] | Int[np.ndarray, " n"]) -> str:
    """Return the words of a response up to its end; tokens that are no words are left out."""
    found = [int(number) for number in numbers]
    spoken = found[: found.index(END)] if END in found else found
    return " ".join(_WORDS[number] for number in spoken if number >= len(lexicon.SPECIAL))


def response(story: str, length: int) -> Int[np.ndarray, " length"]:
    """Return a story and its end, filled up; what is longer is cut off."""
    numbers = [*tokens(story), END][:length]
    return np.array(numbers + [PAD] * (length - len(numbers)), np.int32)


def preferences(
    rows: int, split: str, length: int, care: corpus.Care = (0.75, 0.95), seed: int = 0
) -> dict[str, Any]:
    """Return `corpus.preferences` as arrays, by the names that `envs.data.from_arrays` takes.

    Args:
      rows: number of pairs.
      split: a name of `corpus.STREAMS`.
      length: tokens of a response; what is longer is cut off.
      care: of the authors.
      seed: another seed, other rows.

    Returns:
      `inputs` [rows, 2, 12], `outputs` [rows, 2, length], `length` and `reward` [rows, 2], of
      each pair the better first.
    """
    found = corpus.preferences(rows, split, care, seed)
    sides = [[row["chosen"], row["rejected"]] for row in found]
    outputs = np.array([[response(story, length) for story in pair] for pair in sides])
    prompts = np.array([tokens(row["prompt"]) for row in found], np.int32)
    rewards = [
        [reward(row["prompt"], said(ids)) for ids in pair]
        for row, pair in zip(found, outputs, strict=True)
    ]
    return {
        "inputs": np.broadcast_to(prompts[:, None], (rows, 2, PROMPT)).copy(),
        "outputs": outputs,
        "length": np.sum(outputs != PAD, axis=-1, dtype=np.int32),
        "reward": np.array(rewards, np.float32),
    }
