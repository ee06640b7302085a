"""Responses sampled from a language model, and how likely models find them."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import torch

from llm_transfer.trainers.collator import PreferenceCollator
from llm_transfer.trainers.likelihood import Likelihood
from llm_transfer.trainers.rows import encode
from mpo.errors import RequestError


@dataclass(frozen=True)
class Sampler:
    """How responses are sampled: always from the whole distribution, at temperature 1.

    Attributes:
      new_tokens: of a response, at most.
      batch: responses at a time.
      stop: a token that ends a response, beside the end of text.
    """

    new_tokens: int
    batch: int = 128
    stop: str | None = None

    def ends(self, tokenizer: Any) -> list[int]:
        """Return the tokens that end a response.

        Raises:
          RequestError: `stop` is no token.
        """
        found = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
        if self.stop is None:
            return found
        if self.stop not in tokenizer.get_vocab():
            raise RequestError(f"the tokenizer has no token {self.stop!r} to stop at")
        return [*found, tokenizer.convert_tokens_to_ids(self.stop)]


@torch.no_grad()
def sample(
    model: Any, tokenizer: Any, prompts: Sequence[Any], seed: int, how: Sampler
) -> list[list[int]]:
    """Return the tokens of a response to each prompt, what ended it included.

    The same seed draws the same random numbers for each batch whatever the model, and whatever
    it said before, so that two models are compared on them as pairs.
    """
    ids = [encode(prompt, tokenizer, **_asking(prompt)) for prompt in prompts]
    collator, ends = PreferenceCollator.of(tokenizer), how.ends(tokenizer)
    found: list[list[int]] = []
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        for start in range(0, len(ids), how.batch):
            torch.manual_seed(_seed(seed, start))
            part = ids[start : start + how.batch]
            width = max(map(len, part))
            tokens = [[collator.pad_token] * (width - len(x)) + x for x in part]
            mask = [[0] * (width - len(x)) + [1] * len(x) for x in part]
            out = model.generate(
                input_ids=torch.tensor(tokens, device=model.device),
                attention_mask=torch.tensor(mask, device=model.device),
                do_sample=True,
                temperature=1.0,
                top_k=0,
                top_p=1.0,
                max_new_tokens=how.new_tokens,
                eos_token_id=ends,
                pad_token_id=collator.pad_token,
            )
            found += [_ended(row, ends) for row in out[:, width:].tolist()]
    return found


def _seed(seed: int, start: int) -> int:
    """Return the seed of the batch that begins at `start`; of the first it is `seed` itself."""
    return Random(f"sample/{seed}/{start}").getrandbits(62) if start else seed


def said(prompt: Any, tokens: list[int], tokenizer: Any) -> Any:
    """Return sampled tokens as rows hold responses: text after the prompt, or a message."""
    text = tokenizer.decode(tokens, skip_special_tokens=True)
    if not isinstance(prompt, str):
        return [{"role": "assistant", "content": text.strip()}]
    apart = prompt[-1:].isspace() or text[:1].isspace()
    return text if apart else f" {text}"


@torch.no_grad()
def logps(
    model: Any, tokenizer: Any, prompts: Sequence[Any], responses: Sequence[list[int]], batch: int
) -> list[float]:
    """Return the log-probability of each sampled response after its prompt."""
    collator, score = PreferenceCollator.of(tokenizer), Likelihood()
    found: list[float] = []
    for start in range(0, len(prompts), batch):
        part = zip(prompts[start : start + batch], responses[start : start + batch], strict=True)
        rows = [
            {
                "prompt_ids": encode(prompt, tokenizer, **_asking(prompt)),
                "chosen_ids": tokens,
                "rejected_ids": [],
            }
            for prompt, tokens in part
        ]
        inputs = {name: x[: len(rows)].to(model.device) for name, x in collator(rows).items()}
        found += score(model, inputs).logp.tolist()
    return found


def _asking(prompt: Any) -> dict[str, Any]:
    return {} if isinstance(prompt, str) else {"add_generation_prompt": True}


def _ended(tokens: list[int], ends: list[int]) -> list[int]:
    at = next((i for i, token in enumerate(tokens) if token in ends), len(tokens))
    return tokens[: at + 1]
