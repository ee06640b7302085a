"""OpenRLHF's `DPOTrainer` with another `loss_fn`, and its command with that trainer."""

from typing import Final

from llm_transfer.snippets.recipes.recipe import Recipe, both, call
from mpo.expressions import Expression

_MODULE: Final = '''
class PairLoss(torch.nn.Module):
    """What OpenRLHF calls with log-probabilities of pairs: the loss, and a reward of each side."""
{begin}
    def forward(self, pi_w, pi_l, ref_w, ref_l):
{count}        each = {loss}
        return each.mean(), (pi_w - ref_w).detach(), (pi_l - ref_l).detach()


class Trainer(DPOTrainer):
    """OpenRLHF's trainer with the loss above: `beta` has no effect."""

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self.loss_fn = PairLoss({batches})
'''
_MEANS: Final = """
    def _get_batch_logps(self, *arguments, **settings):  # means in place of sums
        mean = super()._get_batch_logps(*arguments, **settings)[1]
        return mean, mean
"""
_COMMAND: Final = """

if __name__ == "__main__":
    import runpy

    import openrlhf.trainer.dpo_trainer

    openrlhf.trainer.dpo_trainer.DPOTrainer = Trainer
    runpy.run_module("openrlhf.cli.train_dpo", run_name="__main__")
"""
_BEGIN: Final = """
    def __init__(self, batches):
        super().__init__()
        self.done, self.batches = 0, max(batches, 1)
"""
_COUNT: Final = """        progress = min(self.done / self.batches, 1.0)
        self.done += torch.is_grad_enabled()
"""


def _glue(formula: Expression) -> str:
    # Means are all there is of lengths: of one token each, they are divided by one.
    given = both(logp="pi_*", len="torch.ones_like(pi_*)", ref_logp="ref_*")
    given["progress"] = "progress"
    module = _MODULE.format(
        begin=_BEGIN if formula.temporal else "",
        count=_COUNT if formula.temporal else "",
        loss=call(formula, "OpenRLHF", given),
        batches="self.epochs * len(self.train_dataloader)" if formula.temporal else "",
    )
    return module + (_MEANS if formula.length_normalise else "") + _COMMAND


OPENRLHF: Final = Recipe(
    name="openrlhf",
    trainer="OpenRLHF",
    use=lambda formula: "deepspeed my_loss.py, with the arguments of openrlhf.cli.train_dpo",
    tried=(
        "openrlhf 0.11.2: its own DPOTrainer trained on a CPU, with stand-ins for deepspeed and "
        "flash-attn, which want CUDA; its command was not run"
    ),
    imports=("from openrlhf.trainer.dpo_trainer import DPOTrainer",),
    glue=_glue,
)
