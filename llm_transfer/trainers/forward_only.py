"""Trainers that take no gradient: two forward passes an update, on either side of the weights.

    class Trainer(ForwardOnly, MPOTrainer): ...

    Trainer(model, loss="orpo", args=DPOConfig(...), ...).train()

Peak memory is that of inference, and of a copy of what trains unless `restore="in_place"`. The
learning rate is not that of a gradient: it has to be found anew.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from llm_transfer.trainers.ledger import LEDGER, Ledger
from llm_transfer.trainers.perturbation import Guide, Perturbation
from llm_transfer.trainers.seeded_descent import Estimate, SeededDescent
from llm_transfer.trainers.training import Inputs
from mpo.errors import RequestError


class ForwardOnly:
    """Finds slopes by the loss at θ + εz and θ − εz; goes before a trainer in a class's bases.

    What is trained on, the loss, evaluation, schedules and checkpoints are the trainer's; `optim`
    and `max_grad_norm` have no effect. Of a batch that is gathered in parts, the slope is the mean
    of the parts' at one z. Dropout is off, and both passes draw the same random numbers. Logged
    besides are `slope/change`, the mean |s|; `slope/equal`, the share of directions along which
    the loss did not change at all, so that ε is below what numbers tell; and `slope/skipped`, the
    share of batches without a finite slope. With every model its `Ledger` is saved, from which
    `replay` makes the weights again.

    Args:
      arguments, settings: of the trainer; its `args` give the rate, the schedule, the weight decay,
        which kernels alone have, and the seed.
      perturbation: how slopes are found.
      guide: what the last round did, for z near it; a training is then one round.

    Raises:
      RequestError: weights are sharded or in fp16, or an optimizer is passed.
    """

    def __init__(
        self,
        *arguments: Any,
        perturbation: Perturbation | None = None,
        guide: Guide | None = None,
        **settings: Any,
    ) -> None:
        self.perturbation, self._guide = perturbation or Perturbation(), guide
        self.descent: SeededDescent | None = None
        self._told: dict[str, list[float]] = defaultdict(list)
        if (settings.get("optimizers") or (None,))[0] is not None:
            raise RequestError("training without gradients has its own optimizer: pass none")
        super().__init__(*arguments, **settings)
        self._refuse()

    @property
    def ledger(self) -> Ledger:
        """What was done so far."""
        if self.descent is None:
            raise RequestError("there is no ledger before the training")
        return self.descent.ledger

    def create_optimizer(self: Any, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Return what moves the weights."""
        if self.optimizer is None:
            self.descent = self.optimizer = SeededDescent(
                (self.model if model is None else model).named_parameters(),
                self.args.learning_rate,
                self.perturbation,
                weight_decay=self.args.weight_decay,
                seed=self.args.seed,
                guide=self._guide,
            )
        return self.optimizer

    def training_step(
        self: Any,
        model: nn.Module,
        inputs: Inputs,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """Return the loss of a batch, as its share of an update, and collect its slope."""
        model.eval()
        self.model.training = True  # the mark by which metrics are told from those of evaluation
        inputs = self._prepare_inputs(inputs)

        def loss() -> Tensor | float:
            try:
                with self._alike(), self.compute_loss_context_manager():
                    return self.compute_loss(
                        model, inputs, num_items_in_batch=num_items_in_batch
                    ).mean()
            except FloatingPointError:  # how a trainer says that the loss is no number
                return float("nan")

        self.descent.updates = self.state.max_steps
        found = self._agreed(self.descent.estimate(loss))
        self.descent.collect(found.scalars)
        change = sum(map(abs, found.scalars)) / len(found.scalars)
        finite = math.isfinite(change)
        self._told["slope/skipped"].append(1.0 - finite)
        if finite:
            self._told["slope/change"].append(change)
            self._told["slope/equal"].append(found.equal)
        share = found.value / self.current_gradient_accumulation_steps
        return torch.tensor(share, device=self.args.device)

    def log(self: Any, logs: dict[str, float], *args: Any, **settings: Any) -> None:
        """Log what the slopes were like since the last time, and no norm of a gradient."""
        if self.model.training:
            logs.pop("grad_norm", None)
            logs.update({name: sum(v) / len(v) for name, v in self._told.items()})
            self._told.clear()
        super().log(logs, *args, **settings)  # type: ignore[misc]

    def save_model(self: Any, output_dir: str | None = None, *args: Any, **settings: Any) -> None:
        """Save the model, with the ledger of its training beside it."""
        super().save_model(output_dir, *args, **settings)  # type: ignore[misc]
        if self.descent is not None and self.args.should_save:
            self.ledger.save(Path(output_dir or self.args.output_dir) / LEDGER)

    def _refuse(self: Any) -> None:
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            raise RequestError(
                "the weights are sharded, and noise is drawn for whole ones: train without FSDP "
                "and DeepSpeed"
            )
        if self.args.fp16:
            raise RequestError(
                "fp16 scales gradients, of which there are none here: use bf16, or float32"
            )

    @contextmanager
    def _alike(self: Any) -> Iterator[None]:
        """Let all passes of an update draw the same random numbers."""
        device = self.args.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(self.args.seed + self.state.global_step)
            yield

    def _agreed(self: Any, found: Estimate) -> Estimate:
        """Return the mean of what all processes found, each on its own rows."""
        if self.accelerator.num_processes == 1:
            return found
        own = torch.tensor([found.value, found.equal, *found.scalars], device=self.args.device)
        value, equal, *scalars = self.accelerator.reduce(own, "mean").tolist()
        return Estimate(value, tuple(scalars), equal)
