"""Rows of token numbers to a batch: the chosen responses first, then the rejected ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from llm_transfer.trainers.rows import TOKENS, Row, numbers, require
from mpo.errors import RequestError


@dataclass(frozen=True)
class PreferenceCollator:
    """The batch that TRL's DPO trains on, and with rewards where rows have them.

    `input_ids`, `attention_mask` and `completion_mask` of shape [2B, T], padded on the right;
    `ref_chosen_logps`, `ref_rejected_logps`, `chosen_reward` and `rejected_reward` of
    shape [B] where every row has them.

    Attributes:
      pad_token: any token; masks say what is padding.
      max_length: tokens of prompt and response together; more are cut off at the end.
    """

    pad_token: int
    max_length: int | None = None

    @classmethod
    def of(cls, tokenizer: Any, max_length: int | None = None) -> "PreferenceCollator":
        """Return the collator for a tokenizer, padding with its end of text if it must.

        Raises:
          RequestError: the tokenizer has neither token.
        """
        token = tokenizer.pad_token_id
        token = tokenizer.eos_token_id if token is None else token
        if token is None:
            raise RequestError(
                "the tokenizer has neither a padding nor an end-of-text token: set "
                "tokenizer.pad_token"
            )
        return cls(token, max_length)

    def __call__(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """Return the batch of `rows`."""
        require(rows[0], TOKENS)
        sides = [(row, side) for side in ("chosen_ids", "rejected_ids") for row in rows]
        ids = [self._cut([*row["prompt_ids"], *row[side]]) for row, side in sides]
        completion = [
            self._cut([0] * len(row["prompt_ids"]) + [1] * len(row[side])) for row, side in sides
        ]
        batch = {
            "input_ids": pad_sequence(ids, batch_first=True, padding_value=self.pad_token),
            "attention_mask": pad_sequence([torch.ones_like(x) for x in ids], batch_first=True),
            "completion_mask": pad_sequence(completion, batch_first=True),
        }
        return batch | _shared(rows)

    def _cut(self, ids: list[int]) -> Tensor:
        return torch.tensor(ids[: self.max_length])


@dataclass(frozen=True)
class WithNumbers:
    """The batch of another collator, with the rewards and log-probabilities that all rows have.

    Attributes:
      collate: the other collator; what it gives a name of its own stays as it is.
    """

    collate: Callable[..., Any]

    def __call__(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Return the batch of `rows`."""
        return {**_shared(rows), **self.collate(rows)}


def _shared(rows: Sequence[Row]) -> dict[str, Tensor]:
    """Return the numbers that every row has, each of shape [B]."""
    columns = [dict(numbers(row)) for row in rows]
    shared = set.intersection(*map(set, columns))
    return {name: torch.tensor([c[name] for c in columns]) for name in sorted(shared)}
