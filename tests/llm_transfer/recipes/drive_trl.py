# mypy: ignore-errors
"""Train with the recipes for TRL: python drive_trl.py FOLDER_OF_RECIPES MODEL ROWS."""

import importlib
import json
import sys
import tempfile
from pathlib import Path

import torch
import trl
from datasets import Dataset
from expected import close, sums
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig

recipes, folder, rows = sys.argv[1:4]
sys.path.insert(0, recipes)
PAIRS = Dataset.from_list([json.loads(line) for line in Path(rows).read_text().splitlines()])


def trainer(name, batch=4, accumulated=1):
    args = DPOConfig(
        tempfile.mkdtemp(), per_device_train_batch_size=batch,
        gradient_accumulation_steps=accumulated, max_steps=3, learning_rate=1e-3,
        logging_steps=1, save_strategy="no", use_cpu=True, bf16=False, report_to="none",
        remove_unused_columns=False, gradient_checkpointing=False, disable_tqdm=True,
        lr_scheduler_type="constant",
    )  # fmt: skip
    module = importlib.import_module(f"{name}_trl")
    return module, module.Trainer(
        AutoModelForCausalLM.from_pretrained(folder),
        args=args,
        train_dataset=PAIRS,
        processing_class=AutoTokenizer.from_pretrained(folder),
    )


for name in ("orpo", "dpo", "rpo_bwd", "ta_mpo"):
    module, made = trainer(name)
    batch = made._prepare_inputs(next(iter(made.get_train_dataloader())))
    made.model.eval()
    logp, length = sums(made.model, batch, batch["completion_mask"])
    half = len(logp) // 2
    given = [logp[:half], logp[half:]]
    if name in ("orpo", "ta_mpo"):
        given += [length[:half], length[half:]]
    else:  # the reference is the model itself, before training
        given += [logp[:half], logp[half:]]
    if name == "rpo_bwd":
        given += [batch["chosen_reward"], batch["rejected_reward"]]
    if name == "ta_mpo":
        given.append(0.0)
    with torch.no_grad():
        close(made.compute_loss(made.model, batch), module.loss(*given).mean(), f"{name}, a batch")
    made.train()
    losses = [log["loss"] for log in made.state.log_history if "loss" in log]
    assert len(losses) == 3, losses
    assert all(abs(one) < 1e3 for one in losses), losses
    assert losses[0] != losses[2], losses
    print(name, losses)

norms = []
for sizes in ((4, 1), (2, 2)):
    made = trainer("orpo", *sizes)[1]
    made.train()
    norms.append(made.state.log_history[0]["grad_norm"])
close(*norms, "gradient of four pairs, and of two and two", 1e-3)
print("trl", trl.__version__)
