"""A loss of pairs as the module that OpenRLHF's DPO trainer calls."""

import torch
from torch import Tensor, nn

from llm_transfer.snippets.torch_loss import TorchLoss
from llm_transfer.trainers.pair_loss import Pairs, implicit_rewards, losses, resolve
from mpo.errors import RequestError


class PairLossModule(nn.Module):
    """Takes the place of OpenRLHF's `DPOLoss`: `trainer.loss_fn = PairLossModule("orpo")`.

    Args:
      loss: the loss, or the name or path of an objective.
      means: log-probabilities come divided by length, and need no lengths: a loss that
        would divide by them gets what it wants, one that sums refuses.
    """

    def __init__(self, loss: TorchLoss | str, means: bool = False) -> None:
        super().__init__()
        self.pair_loss = resolve(loss)
        self.means = means
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
        progress: float = 0.0,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return mean loss, rewards of the chosen and of the rejected responses.

        Args: all of shape [B], log-probabilities summed unless `means`.

        Raises:
          RequestError: a loss that divides by length has no lengths.
        """
        logp = torch.stack([policy_chosen_logps, policy_rejected_logps], dim=-1)
        if chosen_length is not None and rejected_length is not None:
            length = torch.stack([chosen_length, rejected_length], dim=-1)
        elif self.means or not self.pair_loss.length_normalise:
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
        loss = losses(self.pair_loss, pairs, progress).mean()
        return loss, rewards[:, 0], rewards[:, 1]
