# mypy: ignore-errors
"""Train with OpenRLHF's own DPOTrainer on a CPU: python drive_openrlhf.py RECIPES MODEL ROWS.

What wants CUDA is replaced: modules of deepspeed, flash-attn and ray by empty ones, and the
strategy, which is deepspeed's, by one that calls backward and step.
"""

import copy
import importlib
import json
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import torch
from absent import let_be_empty
from expected import close

recipes, folder, rows = sys.argv[1:4]
sys.path.insert(0, recipes)
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

tokenizer = AutoTokenizer.from_pretrained(folder)
tokenizer.pad_token_id = tokenizer.pad_token_id or 0
let_be_empty("deepspeed", "flash_attn", "ray", "vllm", "ring_flash_attn", "torchmetrics")
from openrlhf.trainer.dpo_trainer import DPOTrainer  # noqa: E402


class Actor(torch.nn.Module):
    """What OpenRLHF's Actor gives its trainer: log π of each token."""

    def __init__(self):
        super().__init__()
        self.model = AutoModelForCausalLM.from_pretrained(folder).eval()

    def forward(self, ids, attention_mask, return_output, return_logprobs, ring_attn_group):
        out = self.model(input_ids=ids, attention_mask=attention_mask)
        logp = out.logits[:, :-1].float().log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
        return logp, out


class Batches(list):
    """A list that has a sampler, as a loader of data."""

    sampler = None


def encoded(row, side):
    ids = tokenizer(row["prompt"] + row[side])["input_ids"]
    return ids, len(tokenizer(row["prompt"])["input_ids"])


def batches():
    found = Batches()
    pairs = [json.loads(line) for line in Path(rows).read_text().splitlines()]
    for start in range(0, 12, 4):
        sides = {}
        for side in ("chosen", "rejected"):
            texts = [encoded(row, side) for row in pairs[start : start + 4]]
            width = max(len(ids) for ids, _ in texts)
            sides[side] = (
                torch.tensor([[ids + [0] * (width - len(ids))] for ids, _ in texts]),
                torch.tensor([[[1] * len(ids) + [0] * (width - len(ids))] for ids, _ in texts]),
                [prompt for _, prompt in texts],
            )
        found.append((*sides["chosen"][:2], *sides["rejected"]))
    return found


def train(kind):
    """Return the losses of three updates."""
    losses = []
    model = Actor()
    reference = copy.deepcopy(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def step(optim, model, scheduler):
        optim.step()
        optim.zero_grad()

    arguments = SimpleNamespace(
        model=SimpleNamespace(
            label_smoothing=0, ipo_enable=False, aux_loss_coef=0, nll_loss_coef=0
        ),
        ds=SimpleNamespace(packing_samples=False),
        logger=SimpleNamespace(
            wandb=SimpleNamespace(key=None), tensorboard_dir=None, logging_steps=1
        ),
        eval=SimpleNamespace(steps=-1),
        ckpt=SimpleNamespace(save_steps=-1),
        train=SimpleNamespace(batch_size=4),
    )
    strategy = SimpleNamespace(
        args=arguments, is_rank_0=lambda: False, accumulated_gradient=1, ring_attn_group=None,
        backward=lambda loss, model, optim: (losses.append(loss.item()), loss.backward()),
        optimizer_step=step, get_grad_norm=lambda model: 0.0, all_reduce=lambda logs: logs,
    )  # fmt: skip
    scheduler = SimpleNamespace(get_last_lr=lambda: [1e-3])
    trainer = kind(
        model, reference, strategy, tokenizer, optimizer, batches(), None, scheduler,
        beta=0.1, max_epochs=1,
    )  # fmt: skip
    trainer.fit(arguments)
    return losses, trainer


def load(name):
    return importlib.import_module(f"{name}_openrlhf")


(ours, _), (theirs, _) = train(load("dpo").Trainer), train(DPOTrainer)
for step, (one, other) in enumerate(zip(ours, theirs, strict=True)):
    close(one, other, f"dpo, step {step + 1}, beside its own", 1e-5)
for name in ("orpo", "dpo_norm", "ta_mpo"):
    losses, trainer = train(load(name).Trainer)
    print(name, losses)
    assert len(losses) == 3, losses
    assert losses[0] != losses[2], losses
    if name == "orpo":  # that means are what it is given
        of_pair = load(name).loss(
            *(torch.tensor([x]) for x in (-2.0, -3.0)), torch.ones(1), torch.ones(1)
        )
        assert torch.equal(
            trainer.loss_fn(*(torch.tensor([x]) for x in (-2.0, -3.0, 0, 0)))[0], of_pair[0]
        )
print("openrlhf", version("openrlhf"))
