"""`PreferenceTrainer`: any loss of pairs on `transformers.Trainer`, without TRL."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments, set_seed

from llm_transfer.snippets.torch_loss import TorchLoss
from llm_transfer.trainers.collator import PreferenceCollator
from llm_transfer.trainers.reference import is_adapted, keep_adapter
from llm_transfer.trainers.rows import prepare
from llm_transfer.trainers.training import Inputs, PairTraining


class PreferenceTrainer(PairTraining, Trainer):
    """Fine-tunes a causal language model on preference rows under any `TorchLoss`.

        PreferenceTrainer(model, "orpo", args, train_dataset=rows, processing_class=tokenizer)

    Gives the weights that `MPOTrainer` gives, with fewer parts. Dropout is switched off, as
    TRL does: a preference compares two passes.

    Args:
      model: the model, or where to load it from.
      loss: the loss, or the name or path of an objective.
      args: of `transformers`.
      train_dataset, eval_dataset: preference rows (`rows.prepare` says which), as a
        `datasets.Dataset` or a list; tokenized ones are taken as they are.
      processing_class: the tokenizer.
      ref_model: the reference, for losses that need one and rows without its log-probabilities;
        an adapted model is its own: without a new adapter, or as the one it arrives with was.
      peft_config: train an adapter instead of the weights.
      max_length: tokens of prompt and response together; more are cut off at the end.
      settings: what else `transformers.Trainer` takes.
    """

    def __init__(
        self,
        model: Any,
        loss: TorchLoss | str | None = None,
        args: TrainingArguments | None = None,
        *,
        train_dataset: Any,
        processing_class: Any,
        eval_dataset: Any = None,
        ref_model: Any = None,
        peft_config: Any = None,
        max_length: int | None = None,
        **settings: Any,
    ) -> None:
        self._begin(loss)
        args = copy.copy(args or TrainingArguments())
        args.remove_unused_columns = False  # the model's inputs are made of other columns
        set_seed(args.seed)  # a new adapter is random
        reference_wanted = self.pair_loss.needs_reference and ref_model is None
        model = _built(model, peft_config, reference_wanted)
        settings.setdefault("data_collator", PreferenceCollator.of(processing_class, max_length))
        train, held_out = (
            None if data is None else prepare(data, processing_class, max_length)
            for data in (train_dataset, eval_dataset)
        )
        super().__init__(
            model=model,
            args=args,
            train_dataset=train,
            eval_dataset=held_out,
            processing_class=processing_class,
            **settings,
        )
        self.ref_model = ref_model
        if ref_model is not None:
            reference = _without_dropout(ref_model).eval()
            self.ref_model = self.accelerator.prepare_model(reference, evaluation_mode=True)
        self._ready()

    def prediction_step(
        self,
        model: nn.Module,
        inputs: Inputs,
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return the loss of a batch, and logits and tokens if metrics are computed of them."""
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            if prediction_loss_only:
                return self.compute_loss(model, inputs), None, None
            loss, outputs = self.compute_loss(model, inputs, return_outputs=True)
        return loss, outputs.logits, inputs["input_ids"]


def _built(model: Any, peft_config: Any, reference_wanted: bool) -> Any:
    if isinstance(model, str):
        model = AutoModelForCausalLM.from_pretrained(model)
    if peft_config is not None:
        from peft import get_peft_model

        model = get_peft_model(model, peft_config)
    elif reference_wanted and is_adapted(model):
        keep_adapter(model)
    return _without_dropout(model)


def _without_dropout(model: Any) -> Any:
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model
