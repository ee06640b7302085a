"""Where preference rows come from: the small language, a file, a folder or the hub."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from llm_transfer.experiment.environment import cannot_load
from llm_transfer.experiment.judges import Judge
from llm_transfer.experiment.settings import TINY, Settings
from llm_transfer.trainers.rows import Row, explicit, require
from mpo.errors import RequestError

SIDES = ("chosen", "rejected")


def replaced(
    rows: Sequence[Row], weak: Sequence[tuple[Any, Any]], share: float, seed: int
) -> list[dict[str, Any]]:
    """Return the rows with a share of all responses, chosen at random, taken from `weak`.

    Labels stay where they are: a weak response may replace a chosen one, and then stands
    above a better one, as where the paper replaced "half of the responses, selected at random".

    Args:
      rows: with `chosen` and `rejected`.
      weak: two responses to the prompt of each row.
      share: of the 2N responses; their number is exact.
      seed: another seed, other responses.
    """
    slots = [(row, side) for row in range(len(rows)) for side in (0, 1)]
    hit = Random(f"replaced/{seed}").sample(slots, round(share * len(slots)))
    found = [dict(row) for row in rows]
    for row, side in hit:
        found[row][SIDES[side]] = weak[row][side]
        found[row].pop(f"{SIDES[side]}_reward", None)  # what was measured of another response
    return found


def relabelled(rows: Sequence[Row], judge: Judge) -> Sequence[Row]:
    """Return the rows as the judge ranks them; where it finds both as good, as they are."""
    prompts = [row["prompt"] for row in rows]
    scores = zip(*(judge(prompts, [row[side] for row in rows]) for side in SIDES), strict=True)
    return [
        _exchanged(row) if chosen < rejected else row
        for row, (chosen, rejected) in zip(rows, scores, strict=True)
    ]


def _exchanged(row: Row) -> dict[str, Any]:
    """Return the row with its sides exchanged, each response with its reward."""
    names = {
        f"{side}{end}": f"{other}{end}"
        for side, other in (SIDES, SIDES[::-1])
        for end in ("", "_reward")
    }
    return {names.get(name, name): value for name, value in row.items()}


COLUMNS = ("prompt", "chosen", "rejected", "chosen_reward", "rejected_reward")


@dataclass(frozen=True)
class Splits:
    """Rows with a prompt, to train on, to choose a learning rate by, and to report on."""

    train: list[Row]
    validation: list[Row]
    test: list[Row]


def load(settings: Settings) -> Splits:
    """Return the rows of an experiment.

    A file, or a data set without a test split, is split at random, in the same way every time.

    Raises:
      RequestError: there is no such file, or its rows are not preference rows.
    """
    if settings.data == TINY:
        from llm_transfer import language

        sizes = {
            "train": settings.rows,
            "validation": settings.held_out,
            "test": settings.held_out,
        }
        return Splits(**{split: language.preferences(n, split) for split, n in sizes.items()})
    train, test = _jsonl(settings.data) if settings.data.endswith(".jsonl") else _hub(settings.data)
    if not train:
        raise RequestError(f"{settings.data} has no rows")
    rows = _shuffled([_cleaned(row) for row in train])
    if test is None:
        tenth = max(1, len(rows) // 10)
        test, rows = rows[:tenth], rows[tenth:]
    else:
        test = [_cleaned(row) for row in test]
    tenth = max(1, min(len(rows) // 10, settings.held_out))
    splits = Splits(
        train=rows[tenth:][: settings.rows],
        validation=rows[:tenth],
        test=list(test)[: settings.held_out],
    )
    if not splits.train:
        raise RequestError(f"{settings.data} has too few rows to be split in three")
    return splits


def _jsonl(path: str) -> tuple[list[Row], None]:
    try:
        lines = Path(path).read_text("utf-8").split("\n")  # texts may hold other ends of lines
    except OSError as error:
        raise RequestError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RequestError(f"cannot read {path}: it is not in UTF-8 ({error.reason})") from error
    rows: list[Row] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise RequestError(f"{path}, line {number} is not JSON: {error.msg}") from error
        if not isinstance(row, dict):
            raise RequestError(f"{path}, line {number} is not a JSON object")
        rows.append(row)
    return rows, None


def _hub(name: str) -> tuple[Sequence[Any], Sequence[Any] | None]:
    import datasets

    try:
        found = datasets.load_dataset(name)
    except (OSError, ValueError, datasets.exceptions.DatasetNotFoundError) as error:
        raise cannot_load("the data set", name, error) from error
    if "train" not in found:
        raise RequestError(f"{name!r} has no split 'train', only {', '.join(found)}")
    test = next((found[split] for split in ("test", "validation") if split in found), None)
    return list(found["train"]), None if test is None else list(test)


def _cleaned(row: Row) -> Row:
    require(row, ("chosen", "rejected"))
    whole = explicit(row)
    return {name: whole[name] for name in COLUMNS if name in whole}


def _shuffled(rows: list[Row]) -> list[Row]:
    Random(0).shuffle(rows)
    return rows
