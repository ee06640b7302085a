"""The two roads of a fine-tuning: plain transformers, and TRL."""

import math
import tempfile
from collections.abc import Callable, Sequence
from typing import Any, Final

from llm_transfer.experiment.lab import Lab
from llm_transfer.snippets.torch_loss import TorchLoss
from llm_transfer.trainers.rows import Row, prepare


def finetuned(
    lab: Lab, loss: TorchLoss, rows: Sequence[Row], learning_rate: float, seed: int
) -> Any:
    """Return the model of the lab, fine-tuned on rows, by the trainer of its settings.

    AdamW, a cosine schedule after a tenth of warm-up, gradients clipped at norm 1.

    Raises:
      FloatingPointError: the training diverged.
    """
    with tempfile.TemporaryDirectory() as folder:
        arguments = _arguments(lab, len(rows), learning_rate, seed, folder)
        return ROUTES[lab.settings.trainer](lab, loss, rows, arguments)


def _plain(lab: Lab, loss: TorchLoss, rows: Sequence[Row], arguments: dict[str, Any]) -> Any:
    from transformers import TrainingArguments

    from llm_transfer.trainers import PreferenceTrainer

    limit = lab.settings.max_length
    tokens = prepare(rows, lab.tokenizer, limit)
    trainer = PreferenceTrainer(
        lab.policy(),
        loss,
        TrainingArguments(**arguments),
        train_dataset=lab.referenced(tokens) if loss.needs_reference else tokens,
        processing_class=lab.tokenizer,
        peft_config=_adapter(lab),
        max_length=limit,
    )
    return _trained(trainer)


def _on_trl(lab: Lab, loss: TorchLoss, rows: Sequence[Row], arguments: dict[str, Any]) -> Any:
    from datasets import Dataset
    from trl import DPOConfig  # type: ignore[attr-defined]

    from llm_transfer.trainers import MPOTrainer

    trainer = MPOTrainer(
        lab.policy(),
        loss=loss,
        args=DPOConfig(**arguments, max_length=lab.settings.max_length),
        train_dataset=Dataset.from_list([dict(row) for row in rows]),
        processing_class=lab.tokenizer,
        peft_config=_adapter(lab),
    )
    return _trained(trainer)


ROUTES: Final[dict[str, Callable[..., Any]]] = {"transformers": _plain, "trl": _on_trl}


def _trained(trainer: Any) -> Any:
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return trainer.accelerator.unwrap_model(trainer.model).eval()


def _arguments(lab: Lab, rows: int, learning_rate: float, seed: int, folder: str) -> dict[str, Any]:
    settings = lab.settings
    updates = settings.epochs * math.ceil(rows / (settings.batch * settings.accumulate))
    return {
        "output_dir": folder,
        "per_device_train_batch_size": settings.batch,
        "gradient_accumulation_steps": settings.accumulate,
        "num_train_epochs": settings.epochs,
        "learning_rate": learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": math.ceil(updates / 10),
        "max_grad_norm": 1.0,
        "seed": seed,
        "data_seed": seed,  # the order of the rows has a seed of its own
        "use_cpu": lab.device.type == "cpu",
        "bf16": False,
        "save_strategy": "no",
        "logging_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


def _adapter(lab: Lab) -> Any:
    if not lab.settings.lora:
        return None
    from peft import LoraConfig

    rank = lab.settings.lora
    return LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )
