"""A loss of pairs as the module that OpenRLHF's DPO trainer calls."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from llm_transfer.snippets.torch_loss import TorchLoss
from llm_transfer.trainers.pair_loss import Pairs, as_torch_loss, implicit_rewards, losses
from mpo.errors import RequestError


class PairLossModule(nn.Module):
    """Takes the place of OpenRLHF's `DPOLoss`: `trainer.loss_fn = PairLossModule("orpo")`.

    Args:
      loss: the loss, or the name or path of an objective.
      means: log-probabilities come divided by length, and need no lengths: a loss that
        would divide by them gets what it wants, one that sums refuses.
      progress: for a loss that changes in the course of training, what returns the share of it
        that is done; or the number of batches in all, which are then counted.

    Raises:
      RequestError: the loss needs rewards, which OpenRLHF does not pass on, or sums, or progress.
    """

    def __init__(
        self,
        loss: TorchLoss | str,
        means: bool = False,
        progress: Callable[[], float] | int | None = None,
    ) -> None:
        super().__init__()
        self.pair_loss = as_torch_loss(loss)
        self.means = means
        self._progress, self._batches = progress, 0
        if self.pair_loss.needs_reward:
            raise RequestError(
                f"objective {self.pair_loss.name!r} needs rewards, which OpenRLHF does not give "
                "to a loss: use MPOTrainer or PreferenceTrainer"
            )
        if self.pair_loss.temporal and progress is None:
            raise RequestError(
                f"objective {self.pair_loss.name!r} changes in the course of training: pass "
                "progress, a function of no arguments or the number of batches in all"
            )
        if means and not self.pair_loss.length_normalise:
            raise RequestError(
                f"objective {self.pair_loss.name!r} takes summed log-probabilities: means=False"
            )

    def forward(
        self,
        policy_chosen_logps: Tensor,
        policy_rejected_logps: Tensor,
        reference_chosen_logps: Tensor | None = None,
        reference_rejected_logps: Tensor | None = None,
        chosen_length: Tensor | None = None,
        rejected_length: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return mean loss, rewards of the chosen and of the rejected responses.

        Args: all of shape [B], log-probabilities summed unless `means`, which lengths are not
        used with.

        Raises:
          RequestError: a loss that divides by length has no lengths.
        """
        logp = torch.stack([policy_chosen_logps, policy_rejected_logps], dim=-1)
        if self.means:
            length = torch.ones_like(logp)
        elif chosen_length is not None and rejected_length is not None:
            length = torch.stack([chosen_length, rejected_length], dim=-1)
        elif not self.pair_loss.length_normalise:
            length = torch.ones_like(logp)
        else:
            raise RequestError(
                f"objective {self.pair_loss.name!r} divides by length: pass chosen_length and "
                "rejected_length, or mean log-probabilities with means=True"
            )
        ref_logp = None
        if reference_chosen_logps is not None and reference_rejected_logps is not None:
            ref_logp = torch.stack([reference_chosen_logps, reference_rejected_logps], dim=-1)
        pairs = Pairs(logp, length, ref_logp)
        rewards = implicit_rewards(self.pair_loss, pairs)
        loss = losses(self.pair_loss, pairs, self._done()).mean()
        return loss, rewards[:, 0], rewards[:, 1]

    def _done(self) -> float:
        """Return the share of the training that is done; batches of an evaluation do not count."""
        if not isinstance(self._progress, int):
            return 0.0 if self._progress is None else self._progress()
        share = min(self._batches / max(self._progress, 1), 1.0)
        self._batches += torch.is_grad_enabled()
        return share
