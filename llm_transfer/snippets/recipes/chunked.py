"""The loss from hidden states and the last layer, without all the logits: plain, and by Liger."""

from typing import Final

from llm_transfer.snippets.recipes.recipe import Recipe, both, call
from mpo.expressions import Expression

_CHUNKED: Final = '''
def log_probs(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    mask: Tensor,
    bias: Tensor | None = None,
    size: int = 256,
) -> tuple[Tensor, Tensor]:
    """Return log π of responses, summed over tokens, and their tokens, shape [N].

    Logits of `size` positions are there at a time, and made again on the way back.

    Args:
      hidden: what the last layer is given, shape [N, T, D].
      weight, bias: of that layer, shape [V, D] and [V].
      targets: the token that follows each position, shape [N, T].
      mask: where that is one of the response, shape [N, T].
      size: of a chunk.
    """

    def chosen(states: Tensor, tokens: Tensor) -> Tensor:
        logits = torch.nn.functional.linear(states, weight, bias)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return -torch.nn.functional.cross_entropy(logits, tokens, reduction="none")

    kept = mask.bool()
    pieces = zip(hidden[kept].split(size), targets[kept].split(size))
    each = torch.cat([checkpoint(chosen, *piece, use_reentrant=False) for piece in pieces])
    return each.new_zeros(kept.shape).masked_scatter(kept, each).sum(-1), kept.sum(-1)


def chunked_loss(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    mask: Tensor,
{others}    bias: Tensor | None = None,
    size: int = 256,
) -> Tensor:
    """Return the loss of each pair, shape [N / 2], of responses [chosen; rejected].

    Args:
      hidden, weight, targets, mask, bias, size: of `log_probs`.
{explained}    """
    logp, length = log_probs(hidden, weight, targets, mask, bias, size)
    (logp_w, logp_l), (len_w, len_l) = logp.chunk(2), length.chunk(2)
    return {loss}
'''
_EXPLAINED: Final = {
    "ref_logp": "log π under the reference, shape [N]: `log_probs` of its hidden states.",
    "reward": "explicit reward of each response, shape [N].",
    "sampled_logp": "log π under the policy that wrote each response, shape [N].",
    "credit": "what each response is credited with, shape [N].",
    "progress": "n/N in [0, 1], how far training is.",
}


def _glue(formula: Expression) -> str:
    kinds = [name for name in _EXPLAINED if {name, f"{name}_w"} & set(formula.inputs)]
    given = both(logp="logp_*", len="len_*") | {"progress": "progress"}
    for kind in kinds:
        given |= {f"{kind}_w": f"{kind}.chunk(2)[0]", f"{kind}_l": f"{kind}.chunk(2)[1]"}
    return _CHUNKED.format(
        others="".join(
            f"    {kind}: {'float | ' if kind == 'progress' else ''}Tensor,\n" for kind in kinds
        ),
        explained="".join(f"      {kind}: {_EXPLAINED[kind]}\n" for kind in kinds),
        loss=call(formula, "this", given),
    )


_LIGER: Final = '''
class PairLoss(LigerFusedLinearPreferenceBase):
    """Liger's chunks of pairs with the loss above: `PairLoss.apply(hidden, weight, targets)[0]`."""

    @staticmethod
    def preference_loss_fn(
        pi_w, pi_l, full_target, ref_chosen_logps=None, ref_rejected_logps=None, beta=None
    ):
        each = {loss}
        return each.sum() / (full_target.shape[0] // 2)

    @classmethod
    def forward(
        cls,
        ctx,
        hidden,
        weight,
        targets,
        bias=None,
        ref_hidden=None,
        ref_weight=None,
        ref_bias=None,
        ignore_index=-100,
        compiled=True,
        chunk_size=1,
    ):
        return super().forward(
            cls,
            ctx,
            hidden,
            weight,
            targets,
            bias,
            chunk_size,
            ignore_index,
            compute_nll_loss=False,
            compiled=compiled,
            use_ref_model={reference},
            ref_input=ref_hidden,
            ref_weight=ref_weight,
            ref_bias=ref_bias,
            average_log_prob={means},
        )

    @staticmethod
    def backward(ctx, *slopes):
        return *LigerFusedLinearPreferenceBase.backward(ctx, slopes)[:4], *[None] * 6
'''


def _glue_of_liger(formula: Expression) -> str:
    given = both(logp="pi_*", len="torch.ones_like(pi_*)")
    given |= {"ref_logp_w": "ref_chosen_logps", "ref_logp_l": "ref_rejected_logps"}
    return _LIGER.format(
        loss=call(formula, "Liger", given),
        reference=formula.reference,
        means=formula.length_normalise,
    )


CHUNKED: Final = Recipe(
    name="chunked",
    trainer="torch",
    use=lambda formula: (
        "chunked_loss(hidden states before the last layer, its weight, targets, mask), where "
        "logits would be most of the memory"
    ),
    tried="torch 2.13.0: values and gradients beside those of all the logits",
    imports=("from torch.utils.checkpoint import checkpoint",),
    glue=_glue,
)
LIGER: Final = Recipe(
    name="liger",
    trainer="Liger",
    use=lambda formula: (
        "PairLoss.apply(hidden states, weight of the last layer, targets with -100 outside of "
        "responses)[0]; a chunk is a pair"
    ),
    tried=(
        "liger-kernel 0.8.5: values and gradients on a CPU with compiled=False, for DPO and SimPO "
        "beside Liger's own"
    ),
    imports=(
        "from liger_kernel.chunked_loss.fused_linear_preference import "
        "LigerFusedLinearPreferenceBase",
    ),
    glue=_glue_of_liger,
)
