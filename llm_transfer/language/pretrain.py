"""Pretraining: a small Llama learns the language from texts of mixed quality."""

import math
from collections.abc import Callable
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from envs.language.corpus import texts
from llm_transfer.language.recipes import Recipe
from llm_transfer.threads import threads

Report = Callable[[int, int, float], None]
CONTEXT = 64  # tokens of a request and a story; the longest are near 50


def pretrain(recipe: Recipe, tokenizer: Any, report: Report | None = None) -> Any:
    """Return a causal language model, trained by `recipe`.

    Args:
      recipe: sizes of the model, and how it is trained.
      tokenizer: knows every word of the language.
      report: is called with steps done, steps in all, and the loss.
    """
    with torch.random.fork_rng(devices=[]), threads(1):
        torch.manual_seed(recipe.seed)
        model = _fresh(recipe, tokenizer)
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.98)
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _warmup_cosine(recipe.steps))
        source = texts(recipe.care, recipe.seed)
        for step in range(recipe.steps):
            batch = _encode(list(islice(source, recipe.batch)), tokenizer)
            loss = model(**batch).loss
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            if report is not None:
                report(step + 1, recipe.steps, loss.item())
    return model.eval()


def _fresh(recipe: Recipe, tokenizer: Any) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.width,
        intermediate_size=8 * recipe.width // 3,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        max_position_embeddings=2 * CONTEXT,
        initializer_range=0.1,  # so narrow a model does not learn to copy from 0.02
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config).float()


def _encode(pairs: list[tuple[str, str]], tokenizer: Any) -> dict[str, Tensor]:
    whole = [f"{prompt} {story}{tokenizer.eos_token}" for prompt, story in pairs]
    batch = tokenizer(whole, padding=True, return_tensors="pt")
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    return {**batch, "labels": labels}


def _warmup_cosine(steps: int) -> Callable[[int], float]:
    warmup = max(1, steps // 20)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

    return factor
