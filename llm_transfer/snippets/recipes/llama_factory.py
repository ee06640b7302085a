"""LLaMA-Factory has no door for a loss: a method of its trainer is replaced before it starts."""

from typing import Final

from llm_transfer.snippets.recipes.recipe import Recipe, both, call
from mpo.expressions import Expression

_V0: Final = """
def compute_preference_loss(self, pi_w, pi_l, ref_w=None, ref_l=None):
    each = {loss}
    return each, pi_w.detach(), pi_l.detach()


CustomDPOTrainer.compute_preference_loss = compute_preference_loss

if __name__ == "__main__":
    from llamafactory.train.tuner import run_exp

    run_exp()
"""
_V1: Final = """
def pair_loss(self, pi_w, pi_l, ref_w=None, ref_l=None):
    return {loss}


DPOTrainer.{method} = pair_loss
{means}
if __name__ == "__main__":
    run_dpo()
"""
_MEANS: Final = """
extract = DPOTrainer._extract_chosen_rejected_logps
DPOTrainer._extract_chosen_rejected_logps = lambda *arguments, **settings: (
    extract(*arguments, **settings)[2:] * 2  # means in place of sums
)
"""


def _given(progress: str) -> dict[str, str]:
    # What divides by length is given means, of one token each.
    given = both(logp="pi_*", len="torch.ones_like(pi_*)", ref_logp="ref_*")
    return given | {"progress": progress}


def _glue(formula: Expression) -> str:
    done = "self.state.global_step / max(self.state.max_steps, 1)"
    return _V0.format(loss=call(formula, "LLaMA-Factory", _given(done)))


def _glue_v1(formula: Expression) -> str:
    return _V1.format(
        loss=call(formula, "LLaMA-Factory", _given("self.global_step / self.num_training_steps")),
        method="_odds_ratio_loss" if _kind(formula) == "orpo" else "_sigmoid_dpo_loss",
        means=_MEANS if _kind(formula) == "ipo" else "",
    )


def _kind(formula: Expression) -> str:
    """Return the `pref_loss` whose log-probabilities and reference are those that are needed."""
    if not formula.length_normalise:
        return "sigmoid"
    return "ipo" if formula.reference else "orpo"


LLAMA_FACTORY: Final = Recipe(
    name="llama-factory",
    trainer="LLaMA-Factory",
    use=lambda formula: (
        "python my_loss.py train.yaml, or torchrun my_loss.py train.yaml, in place of "
        f"llamafactory-cli train; in the YAML: stage: dpo, pref_loss: {_kind(formula)}, which says "
        "what log-probabilities are computed"
    ),
    tried=(
        "llamafactory 0.9.5 with trl 0.24.0 and transformers 5.6.0: run_exp trained on a CPU, with "
        "an empty module for torchaudio, whose wheel wants CUDA"
    ),
    imports=("from llamafactory.train.dpo.trainer import CustomDPOTrainer",),
    glue=_glue,
)
LLAMA_FACTORY_V1: Final = Recipe(
    name="llama-factory-v1",
    trainer="LLaMA-Factory",
    use=lambda formula: (
        "python my_loss.py dpo.yaml, in place of USE_V1=1 llamafactory-cli dpo; in the YAML: "
        f"pref_loss: {'orpo' if _kind(formula) == 'orpo' else 'sigmoid'}"
    ),
    tried=(
        "llamafactory 0.9.6.dev0 (ff6d4d1): the methods of its own DPOTrainer; the release 0.9.5 "
        "has no DPO in v1"
    ),
    imports=("from llamafactory.v1.trainers.dpo_trainer import DPOTrainer, run_dpo",),
    glue=_glue_v1,
)
