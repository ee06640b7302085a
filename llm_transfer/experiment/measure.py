"""What is measured of a fine-tuned model on rows it has not seen."""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import torch

from llm_transfer.experiment.lab import Lab
from llm_transfer.experiment.sampling import logps, said, sample
from llm_transfer.trainers.collator import PreferenceCollator
from llm_transfer.trainers.likelihood import Likelihood
from llm_transfer.trainers.rows import REFERENCE

SAMPLE_SEED = 1_000_003  # added to a cell's seed; base and policy draw the same numbers


def measured(lab: Lab, model: Any, split: str, seed: int) -> dict[str, float]:
    """Return the metrics of a model on a split.

    accuracy, margin: of held-out preferences, by log-probability per token.
    ratio_accuracy, ratio_margin: by the log-ratio to the base model.
    kl: of whole responses to the base model, in nats, estimated on the model's own samples.
    length: tokens of a sampled response.
    reward, win_rate: of samples by the judge; a win is over the base model's sample for the
      same prompt with the same random numbers, a draw counts half.
    """
    model.eval()
    return {**preferences(lab, model, split), **generations(lab, model, split, seed)}


@torch.no_grad()
def preferences(lab: Lab, model: Any, split: str) -> dict[str, float]:
    """Return accuracy and margin on the preferences of a split."""
    rows, batch = lab.held_out(split), lab.settings.batch
    collator = PreferenceCollator.of(lab.tokenizer, lab.settings.max_length)
    score, parts = Likelihood(), []
    for start in range(0, len(rows), batch):
        inputs = collator(rows[start : start + batch])
        scores = score(model, {name: x.to(model.device) for name, x in inputs.items()})
        reference = torch.cat([inputs[name] for name in REFERENCE]).to(model.device)
        by_token = scores.logp / scores.length
        ratio = scores.logp - reference
        parts.append(torch.stack([x.view(2, -1) for x in (by_token, ratio)]).cpu())
    margins = torch.cat(parts, dim=-1).double()
    margins = margins[:, 0] - margins[:, 1]
    right = (margins > 0).double() + 0.5 * (margins == 0).double()
    return {
        "accuracy": right[0].mean().item(),
        "margin": margins[0].mean().item(),
        "ratio_accuracy": right[1].mean().item(),
        "ratio_margin": margins[1].mean().item(),
    }


def generations(lab: Lab, model: Any, split: str, seed: int) -> dict[str, float]:
    """Return what is measured of sampled responses."""
    settings, prompts = lab.settings, lab.prompts(split)
    tokens = sample(model, lab.tokenizer, prompts, seed + SAMPLE_SEED, lab.sampler)
    own, base = (
        logps(m, lab.tokenizer, prompts, tokens, settings.batch) for m in (model, lab.base)
    )
    found = {
        "kl": fmean(a - b for a, b in zip(own, base, strict=True)),
        "length": fmean(map(len, tokens)),
    }
    if lab.judge is None:
        return found
    others = lab.base_samples(split, seed + SAMPLE_SEED)
    ours, theirs = (
        lab.judge(prompts, [said(p, x, lab.tokenizer) for p, x in zip(prompts, drawn, strict=True)])
        for drawn in (tokens, others)
    )
    return found | {"reward": fmean(ours), "win_rate": win_rate(ours, theirs)}


def win_rate(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the share of pairs in which ours is greater, half of the draws included."""
    return fmean(
        0.5 if math.isclose(a, b, abs_tol=1e-9) else float(a > b)
        for a, b in zip(ours, theirs, strict=True)
    )
