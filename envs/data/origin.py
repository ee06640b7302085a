"""Where an imported dataset is from, and what was left out on the way: kept in its file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from envs.judge import Judge


@dataclass(frozen=True)
class Origin:
    """What an import says about itself.

    Attributes:
      source: name of the file or folder.
      form: what it is, such as "parquet".
      read: how much was read, by what it is: rows; or episodes, steps, and segments of them.
      dropped: how much of it was left out, by why.
      judge: who ranked segments by their returns; `None` where the source says what was preferred.
      seed: of whom was compared with whom, and of the judge.
    """

    source: str
    form: str
    read: Mapping[str, int]
    dropped: Mapping[str, int] = field(default_factory=dict)
    judge: Judge | None = None
    seed: int | None = None

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Origin":
        """Return what `dataclasses.asdict` made plain values of."""
        judge = values["judge"]
        return cls(**{**values, "judge": None if judge is None else Judge(**judge)})
