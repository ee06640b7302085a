# mypy: ignore-errors
"""Call the recipes for verl through its registry: python drive_verl.py RECIPES."""

import importlib
import sys
from importlib.metadata import version

import torch
from expected import close
from verl.trainer.ppo.core_algos import get_policy_loss_fn
from verl.workers.config import ActorConfig

sys.path.insert(0, sys.argv[1])
torch.manual_seed(0)
rows, length = 6, 9
mask = torch.arange(length) < torch.tensor([9, 4, 7, 1, 9, 3])[:, None]
old = -torch.rand(rows, length) * mask
new = old + 0.2 * torch.randn(rows, length) * mask
credit = torch.randn(rows, 1) * mask
config = ActorConfig(
    strategy="fsdp", rollout_n=2, ppo_micro_batch_size_per_gpu=1, clip_ratio=0.2, clip_ratio_c=1e9
)


def called(name, mode="token-mean"):
    """Return the loss as verl's actor asks for it, and its gradient."""
    at = new.clone().requires_grad_()
    loss, metrics = get_policy_loss_fn(name)(
        old_log_prob=old, log_prob=at, advantages=credit, response_mask=mask,
        loss_agg_mode=mode, config=config, rollout_is_weights=None,
    )  # fmt: skip
    assert all(isinstance(value, float) for value in metrics.values())
    return loss.detach(), *torch.autograd.grad(loss, at)


for name in ("ppo", "reinforce"):
    module = importlib.import_module(f"{name}_verl")
    loss, slope = called(name)
    total, before, each = (new * mask).sum(-1), (old * mask).sum(-1), credit[:, 0]
    ratio = (total - before).exp()
    wanted = {
        "ppo": -torch.minimum(ratio * each, ratio.clamp(0.8, 1.2) * each),
        "reinforce": -each * total,
    }[name]
    close(loss, wanted.mean(), f"{name}, whole responses")
    assert torch.isfinite(slope).all()
    assert (slope[~mask] == 0).all()
    module.TOKENS = True
    if name == "ppo":
        for mode in ("token-mean", "seq-mean-token-sum", "seq-mean-token-mean"):
            (ours, by_ours), (theirs, by_theirs) = called("ppo", mode), called("vanilla", mode)
            close(ours, theirs, f"ppo of tokens beside verl's own, {mode}", 1e-6)
            torch.testing.assert_close(by_ours, by_theirs)
print("verl", version("verl"))
