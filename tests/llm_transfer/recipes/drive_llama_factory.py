# mypy: ignore-errors
"""Train by LLaMA-Factory's run_exp: python drive_llama_factory.py RECIPES MODEL ROWS.

Each loss that it has is trained by it and by the recipe: the losses of the first steps agree.
"""

import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from expected import close

recipes, folder, rows = (str(Path(one).resolve()) for one in sys.argv[1:4])
ROWS = [json.loads(line) for line in Path(rows).read_text().splitlines()]


def train(program, **settings):
    """Return the losses of three steps of a program, in a process of its own."""
    work = Path(tempfile.mkdtemp())
    (work / "pairs.json").write_text(
        json.dumps(
            [
                {"instruction": r["prompt"], "chosen": r["chosen"], "rejected": r["rejected"]}
                for r in ROWS
            ]
        )
    )
    columns = {"prompt": "instruction", "chosen": "chosen", "rejected": "rejected"}
    about = {"pairs": {"file_name": "pairs.json", "ranking": True, "columns": columns}}
    (work / "dataset_info.json").write_text(json.dumps(about))
    asked = {
        "model_name_or_path": folder, "stage": "dpo", "do_train": True, "finetuning_type": "full",
        "dataset": "pairs", "dataset_dir": str(work), "template": "empty", "cutoff_len": 128,
        "output_dir": str(work / "out"), "per_device_train_batch_size": 4, "max_steps": 3,
        "gradient_accumulation_steps": 1, "learning_rate": 1e-3, "logging_steps": 1,
        "lr_scheduler_type": "constant", "save_strategy": "no", "use_cpu": True, "bf16": False,
        "report_to": "none", "overwrite_output_dir": True, "preprocessing_num_workers": None,
        **settings,
    }  # fmt: skip
    (work / "train.yaml").write_text(json.dumps(asked))  # JSON is YAML
    done = subprocess.run(
        [sys.executable, *program, str(work / "train.yaml")],
        capture_output=True, text=True, env={**os.environ, "WANDB_DISABLED": "true"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    log = json.loads((work / "out" / "trainer_state.json").read_text())["log_history"]
    return [one["loss"] for one in log if "loss" in one]


THEIRS = ["-c", "from llamafactory.train.tuner import run_exp; run_exp()"]
for name, settings in (
    ("orpo", {"pref_loss": "orpo", "pref_beta": 1.0}),
    ("dpo", {"pref_loss": "sigmoid", "pref_beta": 0.1}),
):
    ours, theirs = (
        train([f"{recipes}/{name}_llama_factory.py"], **settings),
        train(THEIRS, **settings),
    )
    for step, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        close(one, other, f"{name}, step {step + 1}, beside its own", 2e-3)
for name, kind in (("dpo_norm", "ipo"), ("ta_mpo", "orpo")):
    print(name, train([f"{recipes}/{name}_llama_factory.py"], pref_loss=kind, pref_beta=0.1))
print("llamafactory", version("llamafactory"), "trl", version("trl"))
