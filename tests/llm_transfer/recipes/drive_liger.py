# mypy: ignore-errors
"""Hold the recipes for chunks against Liger's own: python drive_liger.py RECIPES."""

import importlib
import sys
from importlib.metadata import version

import torch
from expected import close
from liger_kernel.chunked_loss import LigerFusedLinearDPOLoss, LigerFusedLinearSimPOLoss

sys.path.insert(0, sys.argv[1])
torch.manual_seed(0)
pairs, time, width, words = 5, 11, 8, 37
states, reference = (torch.randn(2 * pairs, time, width) for _ in range(2))
last, ref_last = (torch.randn(words, width) for _ in range(2))
targets = torch.randint(0, words, (2 * pairs, time))
targets[:, :3] = -100
targets[1, 8:] = -100


def both(loss):
    """Return a loss and its gradients by hidden states and the last layer."""
    hidden, weight = (x.clone().requires_grad_() for x in (states, last))
    value = loss(hidden, weight)
    return value.detach(), *torch.autograd.grad(value, (hidden, weight))


def load(name):
    return importlib.import_module(name)


def liger(name, with_reference):
    more = (reference, ref_last) if with_reference else (None, None)
    function = load(f"{name}_liger").PairLoss
    return both(
        lambda hidden, weight: function.apply(
            hidden, weight, targets, None, *more, None, -100, False
        )[0]
    )


def chunked(name, with_reference):
    module, mask = load(f"{name}_chunked"), targets != -100
    tokens = targets.clamp(min=0)
    more = [module.log_probs(reference, ref_last, tokens, mask)[0]] if with_reference else []
    return both(
        lambda hidden, weight: module.chunked_loss(
            hidden, weight, tokens, mask, *more, size=7
        ).mean()
    )


own = {
    "dpo": both(
        lambda hidden, weight: LigerFusedLinearDPOLoss(
            beta=0.1, compute_nll_loss=False, compiled=False, average_log_prob=False
        )(weight, hidden, targets, None, reference, ref_last)[0]
    ),
    "simpo": both(
        lambda hidden, weight: LigerFusedLinearSimPOLoss(
            beta=2.0, gamma=0.5, alpha=0.0, compute_nll_loss=False, compiled=False
        )(weight, hidden, targets)[0]
    ),
}
for name, with_reference in (("dpo", True), ("simpo", False), ("orpo", False), ("dpo_norm", True)):
    by_liger, by_chunks = liger(name, with_reference), chunked(name, with_reference)
    close(by_liger[0], by_chunks[0], f"{name}, in Liger's chunks and in ours", 1e-5)
    for one, other in zip(by_liger[1:], by_chunks[1:], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    if own.get(name):
        close(by_liger[0], own[name][0], f"{name}, beside Liger's own", 1e-5)
        for one, other in zip(by_liger[1:], own[name][1:], strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
print("liger-kernel", version("liger-kernel"))
