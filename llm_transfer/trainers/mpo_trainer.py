"""`MPOTrainer`: any loss of pairs on TRL's `DPOTrainer`."""

import copy
from typing import Any

from trl import DPOConfig, DPOTrainer  # type: ignore[attr-defined]

from llm_transfer.snippets.torch_loss import TorchLoss
from llm_transfer.trainers.collator import WithNumbers
from llm_transfer.trainers.rows import refuse_empty, require
from llm_transfer.trainers.training import PairTraining


class MPOTrainer(PairTraining, DPOTrainer):
    """TRL's `DPOTrainer` with another loss.

        MPOTrainer(model, loss="orpo", args=DPOConfig(...), train_dataset=..., processing_class=...)

    Data, adapters, reference and logging are TRL's. The loss goes into the public
    `compute_loss` with a forward pass of its own, because what computes TRL's losses is
    private and was rewritten twice in 2026. `loss_type` and `beta` of the config have no
    effect. A loss without a reference has no second model loaded.

    Args:
      loss: the loss, or the name or path of an objective; a subclass may set it as an attribute,
        for launchers that build trainers themselves.
      others: those of `DPOTrainer`. Rows with `chosen_reward` and `rejected_reward` are
        for losses that need rewards.
    """

    def __init__(
        self,
        model: Any,
        ref_model: Any = None,
        args: Any = None,
        data_collator: Any = None,
        train_dataset: Any = None,
        *others: Any,
        loss: TorchLoss | str | None = None,
        **settings: Any,
    ) -> None:
        self._begin(loss)
        args = copy.copy(args or DPOConfig("mpo"))
        asked = args.precompute_ref_log_probs
        needed = self.pair_loss.needs_reference
        # Told that reference log-probabilities are in the rows, DPOTrainer loads no reference.
        args.precompute_ref_log_probs = asked if needed else True
        if self.pair_loss.needs_reward:
            args.remove_unused_columns = False
        if getattr(train_dataset, "column_names", None):
            require(train_dataset.column_names, ("chosen", "rejected"))
        super().__init__(model, ref_model, args, data_collator, train_dataset, *others, **settings)
        if self.pair_loss.needs_reward:
            self.data_collator = WithNumbers(self.data_collator)
        args.precompute_ref_log_probs = self.precompute_ref_logps = asked and needed
        refuse_empty(self.train_dataset, args.max_length)
        self._ready()

    def _precompute_ref_logps(self, dataset: Any, *args: Any, **settings: Any) -> Any:
        if not self.pair_loss.needs_reference:
            return dataset
        return super()._precompute_ref_logps(dataset, *args, **settings)
