"""What an experiment is: which model, data and fault, which objectives, how they are trained."""

import dataclasses
import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import mpo
from llm_transfer.language.recipes import SCALES, SHIPPED
from mpo.errors import RequestError
from mpo.settings import Checked, count, number, one_of

TINY: Final = "tiny"
TRAINERS: Final = ("transformers", "trl")
DTYPES: Final = ("float32", "bfloat16", "auto")
METRICS: Final = ("reward", "win_rate", "accuracy")

# These may differ between the runs of one folder: cells are added, none is made invalid.
GROWING: Final = ("objectives", "seeds", "learning_rate", "tune", "tune_seeds")


@dataclass(frozen=True)
class Settings(Checked):
    """Settings of an experiment.

    Attributes:
      model: the model to fine-tune: a folder, a hub id, or `tiny` for the small language's.
      weak_model: whose responses the fault puts in; `tiny` has its own.
      data: preference rows: a .jsonl file, a folder or hub id for `datasets`, or `tiny`.
      judge: how good a response is: `language` (the default with `tiny`), a reward model's
        folder or hub id, or none.
      objectives: names or paths, with settings if wanted: `orpo`, `dpo:beta=0.5`.
      seeds: cells of each objective.
      shuffled: share of the responses, chosen at random, that are the weaker model's.
      relabel: let the judge rank the pairs again afterwards.
      learning_rate: of every objective, unless it is tuned.
      tune: learning rates to choose from for each objective, on other seeds and other rows.
      tune_seeds: seeds of each of them.
      select: the metric that chooses; by default reward if there is a judge, else accuracy.
      rows, held_out: rows to train on, and to validate and to test on, at most.
      epochs, batch, accumulate: passes, pairs in a batch, batches in an update.
      max_length: tokens of prompt and response.
      new_tokens: of a sampled response, at most.
      sample_batch: responses sampled at a time.
      template: the chat template, where the tokenizer has none: a file, or a tokenizer's
        folder or hub id.
      stop: a token that ends a response, beside the end of text.
      trainer: `transformers` or `trl`.
      lora: rank of the adapters to train, 0 for all weights.
      dtype: of the weights.
      scale: size of the tiny models.
    """

    model: str = TINY
    weak_model: str | None = None
    data: str = TINY
    judge: str | None = None
    objectives: tuple[str, ...] = ("orpo", "closed_form")
    seeds: int = count(5)
    shuffled: float = number(0.0, at_least=0.0, at_most=1.0)
    relabel: bool = False
    learning_rate: float | None = number(None, above=0.0, below=1.0)
    tune: tuple[float, ...] = ()
    tune_seeds: int = count(2)
    select: str | None = one_of(None, METRICS)
    rows: int = count(1000)
    held_out: int = count(256)
    epochs: int = count(1)
    batch: int = count(16)
    accumulate: int = count(1)
    max_length: int = count(1024)
    new_tokens: int = count(64)
    sample_batch: int = count(128)
    template: str | None = None
    stop: str | None = None
    trainer: str = one_of("transformers", TRAINERS)
    lora: int = count(0, at_least=0)
    dtype: str = one_of("float32", DTYPES)
    scale: str = one_of("small", (*SCALES, SHIPPED))

    what: ClassVar[str] = "the experiment"

    def __post_init__(self) -> None:
        """Refuse what does not go together."""
        super().__post_init__()
        if bad := [rate for rate in self.tune if not 0 < rate < 1]:
            raise RequestError(f"a learning rate lies between 0 and 1, not {bad[0]:g}")
        if not self.tune and self.learning_rate is None:
            raise RequestError("give --learning-rate, or --tune with several to choose from")
        if self.shuffled and self.weak_model is None and self.model != TINY:
            raise RequestError("shuffled needs --weak-model: whose responses should go in?")
        if self.relabel and self.judging is None:
            raise RequestError("relabel needs a --judge that can rank the pairs")
        if self.select in ("reward", "win_rate") and self.judging is None:
            raise RequestError(f"selecting by {self.select} needs a --judge")
        if not self.objectives:
            raise RequestError("give at least one --objective")

    @property
    def judging(self) -> str | None:
        """The judge, settled."""
        return self.judge or ("language" if self.data == TINY else None)

    @property
    def selecting(self) -> str:
        """The metric to select by, settled."""
        return self.select or ("accuracy" if self.judging is None else "reward")

    @property
    def fixed(self) -> dict[str, Any]:
        """What all cells of a folder have in common."""
        values = dataclasses.asdict(self)
        return {name: value for name, value in values.items() if name not in GROWING}


def named(texts: Sequence[str]) -> tuple[str, ...]:
    """Return objectives, with `found/*` and the like replaced by those that ship.

    Raises:
      RequestError: none of them is so called.
    """
    found: list[str] = []
    for text in texts:
        names = [text] if "*" not in text else fnmatch.filter(sorted(mpo.shipped()), text)
        if not names:
            raise RequestError(f"no objective that ships is called {text!r}")
        found += names
    return tuple(dict.fromkeys(found))


def objective_and_settings(text: str) -> tuple[str, dict[str, float | bool]]:
    """Return name or path, and settings, of an objective such as `dpo:beta=0.5,x=1`.

    Raises:
      RequestError: a setting is neither a number nor true or false.
    """
    name, _, rest = text.partition(":")
    if not rest or Path(text).exists():
        return text, {}
    found: dict[str, float | bool] = {}
    for part in rest.split(","):
        key, equals, value = part.partition("=")
        try:
            found[key.strip()] = value == "true" if value in ("true", "false") else float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise RequestError(
                f"objective {text!r}: settings are numbers, as in {name}:beta=0.5, not {part!r}"
            )
    return name, found
