"""Log-probabilities of tokens without a second array as large as the logits.

`log_softmax` of logits [B, T, V] is another [B, T, V] in single precision, and its gradient
a third: gigabytes where V is a real vocabulary. Only one number of every V is wanted. Here
log softmax(z)_y = z_y - logsumexp(z) is taken of a chunk of positions at a time, and the
backward pass goes through the chunks again instead of remembering them.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

BUDGET = 2**24  # numbers in a chunk: 64 MiB in single precision


def gather_logps(logits: Tensor, targets: Tensor, mask: Tensor, budget: int = BUDGET) -> Tensor:
    """Return log softmax(logits)[targets] where `mask` holds, zero elsewhere, shape [...].

    Args:
      logits: shape [..., V]; their gradient is the only other array of this shape.
      targets: token numbers, shape [...].
      mask: which positions are wanted, shape [...].
      budget: how many numbers are held in single precision at a time.
    """
    return _Gather.apply(logits, targets, mask.bool(), budget)


def project_logps(
    head: Callable[[Tensor], Tensor],
    hidden: Tensor,
    targets: Tensor,
    vocabulary: int,
    budget: int = BUDGET,
) -> Tensor:
    """Return log softmax(head(hidden))[targets], shape [N]; all the logits are never there at once.

    Args:
      head: the last layer of a language model, hidden states [n, D] to logits [n, V].
      hidden: shape [N, D].
      targets: token numbers, shape [N].
      vocabulary: V, which sets the size of a chunk.
      budget: how many logits are held at a time.
    """
    size = max(1, budget // vocabulary)
    if len(targets) <= size:
        return _chosen(head, hidden, targets)
    pieces = zip(hidden.split(size), targets.split(size), strict=True)
    return torch.cat([checkpoint(_chosen, head, h, y, use_reentrant=False) for h, y in pieces])


def _chosen(head: Callable[[Tensor], Tensor], hidden: Tensor, targets: Tensor) -> Tensor:
    logits = _precise(head(hidden))
    return logits.gather(-1, targets[:, None])[:, 0] - logits.logsumexp(-1)


def _precise(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, mask: Tensor, budget: int) -> Tensor:
        rows = logits.reshape(-1, logits.shape[-1])
        wanted, tokens = mask.reshape(-1).nonzero()[:, 0], targets.reshape(-1)
        size = max(1, budget // rows.shape[-1])
        out = _precise(logits.new_zeros(len(rows)))
        total = _precise(logits.new_zeros(len(wanted)))
        for start in range(0, len(wanted), size):
            part = wanted[start : start + size]
            z = _precise(rows[part])
            total[start : start + size] = z.logsumexp(-1)
            out[part] = z.gather(-1, tokens[part, None])[:, 0] - total[start : start + size]
        ctx.save_for_backward(logits, tokens, wanted, total)
        ctx.size = size
        return out.reshape(targets.shape)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None, None]:
        logits, tokens, wanted, total = ctx.saved_tensors
        rows, slope = logits.reshape(-1, logits.shape[-1]), upstream[0].reshape(-1)
        gradient = torch.zeros_like(rows)
        for start in range(0, len(wanted), ctx.size):
            part = wanted[start : start + ctx.size]
            weight = slope[part, None]
            z = _precise(rows[part]).sub_(total[start : start + ctx.size, None]).exp_()
            z = z.mul_(-weight).scatter_add_(-1, tokens[part, None], weight)
            gradient[part] = z.to(gradient.dtype)
        return gradient.reshape(logits.shape), None, None, None
