# mypy: ignore-errors
"""Train by axolotl's own builder of trainers: python drive_axolotl.py RECIPES MODEL ROWS."""

import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from axolotl.core.builders import HFRLTrainerBuilder
from axolotl.utils.dict import DictDefault
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer

recipes, folder, rows = sys.argv[1:4]
sys.path.insert(0, recipes)
pairs = Dataset.from_list([json.loads(line) for line in Path(rows).read_text().splitlines()])

for name in ("orpo", "dpo", "rpo_bwd"):
    cfg = DictDefault(
        {
            "rl": "dpo",
            "trainer_cls": f"{name}_axolotl.Trainer",
            "base_model": folder,
            "output_dir": tempfile.mkdtemp(),
            "micro_batch_size": 4,
            "gradient_accumulation_steps": 1,
            "max_steps": 3,
            "num_epochs": 1,
            "learning_rate": 1e-3,
            "lr_scheduler": "constant",
            "optimizer": "adamw_torch",
            "sequence_len": 128,
            "logging_steps": 1,
            "warmup_steps": 0,
            "weight_decay": 0.0,
            "save_strategy": "no",
            "remove_unused_columns": False,
            "use_cpu": True,
            "context_parallel_size": 1,
            "world_size": 1,
        }
    )
    model = AutoModelForCausalLM.from_pretrained(folder)
    builder = HFRLTrainerBuilder(cfg, model, AutoTokenizer.from_pretrained(folder), None)
    builder.train_dataset = pairs
    trainer = builder.build(3)
    assert type(trainer).__module__ == f"{name}_axolotl", type(trainer)
    trainer.train()
    losses = [log["loss"] for log in trainer.state.log_history if "loss" in log]
    assert len(losses) == 3, losses
    assert losses[0] != losses[2], losses
    print(name, losses)
print("axolotl", version("axolotl"), "trl", version("trl"))
