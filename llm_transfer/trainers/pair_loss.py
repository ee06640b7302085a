"""A loss of pairs on a batch: what it is given, and what it says of pairs that say nothing."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from llm_transfer.snippets.torch_loss import TorchLoss, torch_loss
from mpo.errors import RequestError


class Pairs(NamedTuple):
    """A batch of pairs: each field has a row for each pair, chosen then rejected, shape [B, 2]."""

    logp: Tensor
    length: Tensor
    ref_logp: Tensor | None = None
    reward: Tensor | None = None


def as_torch_loss(loss: TorchLoss | str) -> TorchLoss:
    """Return a loss as it is, or the objective of that name or path in PyTorch."""
    return torch_loss(loss) if isinstance(loss, str) else loss


def usable(pairs: Pairs) -> Tensor:
    """Return which pairs say something, shape [B].

    Those do not that have a response without a token (all of it masked or truncated), or a
    number that is not finite (a token of probability zero).
    """
    found = (pairs.length > 0).all(-1)
    for values in (pairs.logp, pairs.ref_logp, pairs.reward):
        if values is not None:
            found = found & torch.isfinite(values).all(-1)
    return found


def losses(loss: TorchLoss, pairs: Pairs, progress: float) -> Tensor:
    """Return the loss of each pair, shape [B]: zero, with gradient zero, where it is not `usable`.

    Raises:
      RequestError: the loss needs rewards or a reference, and there is none.
    """
    _complete(loss, pairs)
    kept = usable(pairs)
    # Unusable numbers are replaced before the loss sees them: a NaN times zero is a NaN.
    fields = (("logp", pairs.logp), ("ref_logp", pairs.ref_logp), ("reward", pairs.reward))
    sides: dict[str, Any] = {}
    for name, values in fields:
        if values is not None:
            safe = torch.where(kept[:, None], values, -1.0)
            sides |= {f"{name}_w": safe[:, 0], f"{name}_l": safe[:, 1]}
    length = pairs.length.clamp_min(1)
    logp_w, logp_l = sides.pop("logp_w"), sides.pop("logp_l")
    sides |= {"len_w": length[:, 0], "len_l": length[:, 1]}
    each = loss(logp_w, logp_l, **sides, progress=progress)
    return torch.where(kept, each, 0.0)


def implicit_rewards(loss: TorchLoss, pairs: Pairs) -> Tensor:
    """Return what the loss takes for the rewards of responses, without its scale, shape [B, 2].

    The log-ratio to the reference for a loss that has one, else the log-probability; per
    token for a loss that divides by length.
    """
    values = pairs.logp.detach()
    if loss.needs_reference and pairs.ref_logp is not None:
        values = values - pairs.ref_logp
    return values / pairs.length.clamp_min(1) if loss.length_normalise else values


def _complete(loss: TorchLoss, pairs: Pairs) -> None:
    if loss.needs_credit:
        raise RequestError(
            f"objective {loss.name!r} is for responses that are written in training and credited "
            "there, as `discovery train` does: pairs say neither"
        )
    if loss.needs_reference and pairs.ref_logp is None:
        raise RequestError(
            f"objective {loss.name!r} needs a reference model: pass ref_model, train an adapter, "
            "or give rows the columns ref_chosen_logps and ref_rejected_logps"
        )
    if loss.needs_reward and pairs.reward is None:
        raise RequestError(
            f"objective {loss.name!r} needs rewards: give rows the columns chosen_reward and "
            "rejected_reward"
        )
