"""What the two trainers share: a loss of pairs in `compute_loss`, and the metrics of DPO."""

from collections import defaultdict
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from llm_transfer.snippets.torch_loss import TorchLoss
from llm_transfer.trainers.likelihood import Likelihood, Scores
from llm_transfer.trainers.pair_loss import (
    Pairs,
    as_torch_loss,
    implicit_rewards,
    losses,
    usable,
)
from llm_transfer.trainers.reference import is_adapted, without_adapter
from llm_transfer.trainers.rows import REFERENCE, REWARD
from mpo.errors import RequestError

Inputs = dict[str, Tensor]


class PairTraining:
    """Trains on any `TorchLoss`; goes before a `transformers.Trainer` in a class's bases.

    Only public methods of the trainer are overridden: `compute_loss` and `log`. Logged are
    `rewards/chosen`, `rewards/rejected`, `rewards/accuracies`, `rewards/margins`,
    `logps/chosen`, `logps/rejected` as by TRL's DPO (`implicit_rewards` says what a reward is),
    and `pairs/skipped`, the share of pairs that say nothing (`usable`).
    """

    loss: ClassVar[TorchLoss | str | None] = None
    # The mean over a batch, which the trainer divides by the batches it accumulates.
    loss_is_scaled_for_ga: Any = False

    def _begin(self, loss: TorchLoss | str | None) -> None:
        """Settle the loss; called before the trainer's own `__init__`."""
        chosen = self.loss if loss is None else loss
        if chosen is None:
            raise RequestError(f"{type(self).__name__} needs a loss: pass loss='orpo', say")
        self.pair_loss = as_torch_loss(chosen)
        self._seen: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def _ready(self: Any) -> None:
        """Settle what depends on the trainer; called after its own `__init__`."""
        self.model_accepts_loss_kwargs = False  # before transformers 5.19, loss_is_scaled_for_ga
        sharded = self.is_fsdp_enabled or self.is_deepspeed_enabled
        self._likelihood = Likelihood(whole=sharded)

    @property
    def progress(self: Any) -> float:
        """The share n/N of the training that is done."""
        return self.state.global_step / max(self.state.max_steps, 1)

    def compute_loss(
        self: Any,
        model: nn.Module,
        inputs: Inputs,
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Return the mean loss of a batch `[chosen; rejected]`, and the outputs if asked for.

        Raises:
          FloatingPointError: the loss is not a number, which would spoil the weights.
        """
        outputs = None
        with self.accelerator.autocast():  # the last layer is applied outside of the model
            if return_outputs:
                scores, outputs = self._likelihood.with_outputs(model, inputs)
            else:
                scores = self._likelihood(model, inputs)
            reference = self._reference(inputs) if self.pair_loss.needs_reference else None
        pairs = Pairs(
            logp=_paired(scores.logp),
            length=_paired(scores.length),
            ref_logp=reference,
            reward=_columns(inputs, REWARD) if self.pair_loss.needs_reward else None,
        )
        loss = losses(self.pair_loss, pairs, self.progress).mean()
        self._record(pairs, loss)
        return (loss, outputs) if return_outputs else loss

    def log(self: Any, logs: dict[str, float], *args: Any, **settings: Any) -> None:
        """Log with the metrics gathered since the last time."""
        mode, prefix = ("train", "") if self.model.training else ("eval", "eval_")
        seen = self._seen.pop(mode, {})
        logs.update({prefix + name: sum(v) / len(v) for name, v in seen.items() if v})
        super().log(logs, *args, **settings)  # type: ignore[misc]

    def _reference(self: Any, inputs: Inputs) -> Tensor | None:
        """Return reference log-probabilities, shape [B, 2], or none if nothing gives them."""
        if (given := _columns(inputs, REFERENCE)) is not None:
            return given
        with torch.no_grad():
            if getattr(self, "ref_model", None) is not None:
                scores: Scores = self._likelihood(self.ref_model, inputs)
            elif is_adapted(adapted := self.accelerator.unwrap_model(self.model)):
                with without_adapter(adapted):
                    scores = self._likelihood(self.model, inputs)
            else:
                return None
        return _paired(scores.logp)

    def _record(self: Any, pairs: Pairs, loss: Tensor) -> None:
        kept = usable(pairs).to(loss.dtype)
        columns = torch.cat([implicit_rewards(self.pair_loss, pairs), pairs.logp.detach()], dim=-1)
        table = torch.cat([columns, kept[:, None], loss.detach().expand(len(kept), 1)], dim=-1)
        table = self.accelerator.gather(table)
        broken = torch.isnan(pairs.logp).any() | ~torch.isfinite(loss)
        if broken:
            raise FloatingPointError(
                f"the loss is {loss.item()} at step {self.state.global_step}: the training has "
                "diverged; lower the learning rate or clip gradients harder"
            )
        mode = "train" if self.model.training else "eval"
        for name, value in _metrics(table).items():
            self._seen[mode][name].append(value)


def _metrics(table: Tensor) -> dict[str, float]:
    """Return the metrics of rows (reward, reward, logp, logp, kept, loss)."""
    kept = table[:, 4].bool()
    if not kept.any():
        return {"pairs/skipped": 1.0}
    reward_w, reward_l, logp_w, logp_l = table[kept, :4].unbind(-1)
    values = torch.stack(
        [
            reward_w.mean(),
            reward_l.mean(),
            (reward_w > reward_l).to(table.dtype).mean(),
            (reward_w - reward_l).mean(),
            logp_w.mean(),
            logp_l.mean(),
            1 - table[:, 4].mean(),
        ]
    )
    return dict(zip(_NAMES, values.tolist(), strict=True))


_NAMES = (
    "rewards/chosen",
    "rewards/rejected",
    "rewards/accuracies",
    "rewards/margins",
    "logps/chosen",
    "logps/rejected",
    "pairs/skipped",
)


def _paired(values: Tensor) -> Tensor:
    """Return [chosen; rejected], shape [2B], as [B, 2]."""
    return torch.stack(values.chunk(2), dim=-1)


def _columns(inputs: Inputs, names: tuple[str, str]) -> Tensor | None:
    if not all(name in inputs for name in names):
        return None
    return torch.stack([inputs[name] for name in names], dim=-1)
