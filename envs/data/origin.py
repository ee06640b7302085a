"""Where an imported dataset is from, and what was left out on the way: kept in its file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from envs.judge import Grading, Judge


@dataclass(frozen=True)
class Origin:
    """What an import says about itself.

    Attributes:
      source: name of the file or folder.
      form: what it is, such as "parquet".
      read: how much was read, by what it is: rows; or episodes, steps, and segments of them.
      dropped: how much of it was left out, by why.
      judge: who ranked the responses; `None` where the source says what was preferred.
      grading: the function that the judge went by; `None` for the true returns.
      seed: of whom was compared with whom, and of the judge.
    """

    source: str
    form: str
    read: Mapping[str, int]
    dropped: Mapping[str, int] = field(default_factory=dict)
    judge: Judge | None = None
    grading: Grading | None = None
    seed: int | None = None

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Origin":
        """Return what `dataclasses.asdict` made plain values of."""
        kept = dict(values)
        for name, kind in (("judge", Judge), ("grading", Grading)):
            if kept.get(name) is not None:
                kept[name] = kind(**kept[name])
        return cls(**kept)
