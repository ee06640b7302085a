"""Judges: how good a response is, by the truth of the small language or by a reward model."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from llm_transfer.experiment.environment import cannot_load
from llm_transfer.trainers.rows import encode
from mpo.errors import RequestError

Judge = Callable[[Sequence[Any], Sequence[Any]], list[float]]


def judge(name: str | None, device: torch.device) -> Judge | None:
    """Return the judge of that name: `language`, or a reward model's folder or hub id."""
    if name is None:
        return None
    return _language if name == "language" else reward_model(name, device)


def reward_model(name: str, device: torch.device, batch: int = 16) -> Judge:
    """Return a judge that scores with a sequence classifier of one output.

    Raises:
      RequestError: it can't be loaded, or has several outputs.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    try:
        model = AutoModelForSequenceClassification.from_pretrained(name).to(device).eval()
        tokenizer = AutoTokenizer.from_pretrained(name)
    except OSError as error:
        raise cannot_load("the judge", name, error) from error
    if model.config.num_labels != 1:
        raise RequestError(f"the judge {name!r} has {model.config.num_labels} outputs, not one")

    @torch.no_grad()
    def scores(prompts: Sequence[Any], responses: Sequence[Any]) -> list[float]:
        texts = [_whole(p, r) for p, r in zip(prompts, responses, strict=True)]
        found: list[float] = []
        for start in range(0, len(texts), batch):
            ids = [encode(text, tokenizer) for text in texts[start : start + batch]]
            inputs = tokenizer.pad({"input_ids": ids}, return_tensors="pt").to(device)
            found += model(**inputs).logits[:, 0].float().tolist()
        return found

    return scores


def _language(prompts: Sequence[Any], responses: Sequence[Any]) -> list[float]:
    from llm_transfer.language import reward

    try:
        return [
            reward(_text(prompt), _text(response))
            for prompt, response in zip(prompts, responses, strict=True)
        ]
    except ValueError as error:
        raise RequestError(f"the judge 'language' knows its own prompts only: {error}") from error


def _whole(prompt: Any, response: Any) -> Any:
    return prompt + response if isinstance(prompt, str) else [*prompt, *response]


def _text(said: Any) -> str:
    return said if isinstance(said, str) else " ".join(message["content"] for message in said)
