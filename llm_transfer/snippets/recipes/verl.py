"""verl's registry of policy losses, which are of single responses: not for losses of pairs."""

from typing import Final

import numpy as np

from llm_transfer.snippets.function import execute
from llm_transfer.snippets.parity import Points, of_torch, points
from llm_transfer.snippets.recipes.recipe import Recipe, both, call
from mpo.expressions import Expression

_GLUE: Final = '''
TOKENS = False  # True: of each token by itself, as verl's own losses are


@register_policy_loss("{name}")
def policy_loss(
    old_log_prob,
    log_prob,
    advantages,
    response_mask,
    loss_agg_mode="token-mean",
    config=None,
    rollout_is_weights=None,
):
    """The loss above of one response, which takes both places: a mean over the two is its own."""
    mask, tokens = response_mask.to(log_prob.dtype), response_mask.sum(-1).clamp(min=1)
    new, old, credit, length = log_prob, old_log_prob, advantages, torch.ones_like(log_prob)
    if not TOKENS:
        new, old = (new * mask).sum(-1), (old * mask).sum(-1)
        credit, length = (credit * mask).sum(-1) / tokens, tokens
    each = {loss}
    if not TOKENS:  # shared out to its tokens, of which the sum is taken
        each, loss_agg_mode = (each / tokens)[:, None] * mask, "seq-mean-token-sum"
    if rollout_is_weights is not None:
        each = each * rollout_is_weights
    of_batch = {{}} if config is None else config.global_batch_info
    ratio = verl_F.masked_mean(old_log_prob - log_prob, response_mask)
    return (
        agg_loss(each, response_mask, loss_agg_mode, **of_batch),
        {{"actor/ppo_kl": ratio.detach().item()}},
    )
'''


def _glue(formula: Expression) -> str:
    given = both(logp="new", sampled_logp="old", credit="credit", len="length")
    return _GLUE.format(name=formula.name, loss=call(formula, "verl", given))


def _refuse(formula: Expression, program: str) -> str | None:
    """Refuse a loss that is no mean over its responses, at the points of the proof."""
    loss, at = execute(program), points(formula)
    pair, first, second = (
        of_torch(loss, inputs, np.float64).values
        for inputs in (at, _twice(at, "w"), _twice(at, "l"))
    )
    mean = (first + second) / 2
    finite = np.isfinite(pair) & np.isfinite(mean)
    if np.allclose(pair[finite], mean[finite], rtol=1e-9, atol=1e-9):
        return None
    return (
        "compares two responses, and verl's policy losses are of one: known to fit are reinforce "
        "and ppo, and others that are a mean over responses"
    )


def _twice(at: Points, side: str) -> Points:
    """Return inputs in which one response has both places."""
    return {name: at.get(f"{name[:-1]}{side}", values) for name, values in at.items()}


VERL: Final = Recipe(
    name="verl",
    trainer="verl",
    use=lambda formula: (
        "as my_loss.py, where Python finds it: actor_rollout_ref.model.external_lib=my_loss "
        f"actor_rollout_ref.actor.policy_loss.loss_mode={formula.name}; KL to a reference is "
        "verl's own, actor.use_kl_loss"
    ),
    tried="verl 0.9.1: registered, called by its ppo_loss, and beside its own PPO; on a CPU",
    imports=(
        "import verl.utils.torch_functional as verl_F",
        "from verl.trainer.ppo.core_algos import agg_loss, register_policy_loss",
    ),
    glue=_glue,
    refuse=_refuse,
)
