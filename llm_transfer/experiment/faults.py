"""The fault of the mirror-preference paper: responses replaced by those of a weaker model."""

from collections.abc import Sequence
from random import Random
from typing import Any

from llm_transfer.experiment.judges import Judge
from llm_transfer.trainers.rows import Row

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
