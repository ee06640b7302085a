"""TRL's `DPOTrainer` with another `compute_loss`, its public door; axolotl takes that too."""

from typing import Final

from llm_transfer.snippets.recipes.recipe import Recipe, both, call
from mpo.expressions import Expression

_LOG_PROBS: Final = '''
def log_probs(model, inputs):
    """Return log π of responses, summed over tokens, their tokens, and the model's outputs."""
    ids, mask = inputs["input_ids"], inputs["completion_mask"][:, 1:]
    out = model(input_ids=ids, attention_mask=inputs["attention_mask"], use_cache=False)
    logits = out.logits[:, :-1].float()
    each = logits.gather(-1, ids[:, 1:, None])[..., 0] - logits.logsumexp(-1)
    return (each * mask).sum(-1), mask.sum(-1), out


class Trainer(DPOTrainer):
    """TRL's trainer with the loss above: `beta` and `loss_type` have no effect."""

    # The loss is a mean over a batch, to be divided by the batches that are accumulated.
    model_accepts_loss_kwargs = property(lambda self: False, lambda self, value: None)
'''

_NO_REFERENCE: Final = """
    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self.ref_model = None  # which nothing reads
"""

_REWARDS: Final = """
        collate, names = self.data_collator, ("chosen_reward", "rejected_reward")
        self.data_collator = lambda rows: collate(rows) | {
            name: torch.tensor([float(row[name]) for row in rows]) for name in names
        }
"""

_LOSS: Final = """
    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        logp, length, out = log_probs(model, inputs)
        (logp_w, logp_l), (len_w, len_l) = logp.chunk(2), length.chunk(2)
"""

_REFERENCE: Final = """
    def reference(self, inputs):
        if "ref_chosen_logps" in inputs:  # precompute_ref_log_probs
            return inputs["ref_chosen_logps"], inputs["ref_rejected_logps"]
        with torch.no_grad():
            if self.ref_model is not None:
                return log_probs(self.ref_model, inputs)[0].chunk(2)
            with self.accelerator.unwrap_model(self.model).disable_adapter():
                return log_probs(self.model, inputs)[0].chunk(2)
"""

_GIVEN: Final = {
    **both(logp="logp_*", len="len_*", ref_logp="ref_*"),
    "reward_w": 'inputs["chosen_reward"]',
    "reward_l": 'inputs["rejected_reward"]',
    "progress": "self.state.global_step / max(self.state.max_steps, 1)",
}


def _glue(formula: Expression) -> str:
    parts = [_LOG_PROBS]
    if not formula.reference or formula.reward:
        head, last = _NO_REFERENCE.rsplit("\n", 2)[:2]
        parts.append(head if formula.reference else f"{head}\n{last}")
        if formula.reward:
            parts.append(_REWARDS.strip("\n"))
    body = _LOSS.rstrip("\n")
    if formula.reference:
        body += "\n        ref_w, ref_l = self.reference(inputs)"
    body += f"\n        each = {call(formula, 'TRL', _GIVEN)}"
    body += "\n        return (each.mean(), out) if return_outputs else each.mean()\n"
    parts.append(body)
    if formula.reference:
        parts.append(_REFERENCE)
    return _joined(parts)


def _joined(parts: list[str]) -> str:
    """Return methods with an empty line before each."""
    return "\n".join(part.rstrip("\n") for part in parts) + "\n"


def _use(formula: Expression) -> str:
    text = "in place of trl.DPOTrainer, from this file: Trainer(model, args=DPOConfig(…), …)"
    if formula.reward:
        text += (
            "; rows have the columns chosen_reward and rejected_reward, and DPOConfig has "
            "remove_unused_columns=False"
        )
    return text


def _use_of_axolotl(formula: Expression) -> str:
    text = (
        "as my_loss.py, where Python finds it; in the YAML: rl: dpo, trainer_cls: my_loss.Trainer"
    )
    if formula.reward:
        text += ", remove_unused_columns: false; rows have chosen_reward and rejected_reward"
    return text


TRL: Final = Recipe(
    name="trl",
    trainer="TRL",
    use=_use,
    tried="trl 1.16.0 and 1.0.0: trained",
    imports=("from trl import DPOTrainer",),
    glue=_glue,
)
AXOLOTL: Final = Recipe(
    name="axolotl",
    trainer="axolotl",
    use=_use_of_axolotl,
    tried="axolotl 0.19.0 with trl 1.9.0: built by its trainer builder, and trained",
    imports=TRL.imports,
    glue=_glue,
)
