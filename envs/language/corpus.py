"""Texts to pretrain on, and preferences to fine-tune on, by authors of differing care."""

from collections.abc import Iterator
from random import Random

from envs.language.judge import reward
from envs.language.stories import Author, Request, request, write

Row = dict[str, str]
Care = tuple[float, float]  # the least and the greatest; one author is anywhere between
COLOUR: Care = (0.0, 0.6)

# Separate streams of random numbers; a request may come in more than one, its stories differ.
STREAMS = {"pretraining": 0, "train": 1, "validation": 2, "test": 3}


def texts(care: Care, seed: int, colour: Care = COLOUR) -> Iterator[tuple[str, str]]:
    """Yield prompts and stories without end."""
    random = _random("pretraining", seed)
    while True:
        asked = request(random)
        yield asked.prompt, write(asked, _author(care, random, colour), random)


def preferences(rows: int, split: str, care: Care = (0.75, 0.95), seed: int = 0) -> list[Row]:
    """Return rows of a prompt and two stories, of which the judge finds one better.

    Args:
      rows: number of pairs.
      split: a name of `STREAMS`.
      care: of the authors, who each have one between its least and its greatest.
      seed: another seed, other rows.
    """
    random = _random(split, seed)
    return [_row(request(random), care, random) for _ in range(rows)]


def _row(asked: Request, care: Care, random: Random) -> Row:
    while True:
        drafts = [write(asked, _author(care, random), random) for _ in range(2)]
        better, worse = sorted(drafts, key=lambda draft: -reward(asked.prompt, draft))
        if reward(asked.prompt, better) > reward(asked.prompt, worse):
            return {"prompt": asked.prompt, "chosen": f" {better}", "rejected": f" {worse}"}


def _author(care: Care, random: Random, colour: Care = COLOUR) -> Author:
    return Author(random.uniform(*care), random.uniform(*colour))


def _random(split: str, seed: int) -> Random:
    return Random(f"{STREAMS[split]}/{seed}")
