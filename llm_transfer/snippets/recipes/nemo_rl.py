"""NeMo-RL's `DPOLossFn` with another `_dpo_loss`; for RPO and its kind, rewards from its data."""

from typing import Final

from llm_transfer.snippets.recipes.recipe import Recipe, both, call
from mpo.expressions import Expression

_LOSS: Final = '''
class LossFn(DPOLossFn):
    """NeMo-RL's loss of pairs, which stand as chosen, rejected, chosen, …"""

    def _dpo_loss(self, next_token_logprobs, data, global_valid_seqs):
        mask, kept = data["token_mask"][:, 1:], data["sample_mask"][::2]
        logp, length = (next_token_logprobs * mask).sum(-1), mask.sum(-1)
        ref_logp = (data["reference_policy_logprobs"][:, :-1] * mask).sum(-1)
        each = {loss}
        ratio = (logp - ref_logp).detach()
        means = (each, ratio[::2] > ratio[1::2], ratio[::2], ratio[1::2])
        return tuple(masked_mean(x, kept, None, global_valid_seqs / 2) for x in means)


nemo_rl.algorithms.dpo.DPOLossFn = LossFn
'''
_REWARDS: Final = '''
preprocess = nemo_rl.data.utils.preference_preprocessor
collate = nemo_rl.algorithms.dpo.preference_collate_fn
pad = nemo_rl.algorithms.dpo.maybe_pad_last_batch


def preprocess_with_rewards(row, *others, **settings):
    """Keep `reward` of the completions, which stands beside `rank` in the data."""
    best_first = sorted(row["completions"], key=lambda one: one["rank"])
    rewards = [float(one["reward"]) for one in best_first]
    return {**preprocess(row, *others, **settings), "rewards": rewards}


def collate_with_rewards(rows, *others, **settings):
    batch = collate(rows, *others, **settings)
    batch["reward"] = torch.tensor([reward for row in rows for reward in row["rewards"]])
    return batch


def pad_with_rewards(batch, dp_size, mbs):
    missing = -len(batch["reward"]) % (dp_size * mbs)
    reward = torch.nn.functional.pad(batch["reward"], (0, missing))
    batch = pad(batch, dp_size, mbs)
    batch["reward"] = reward
    return batch


nemo_rl.data.utils.preference_preprocessor = preprocess_with_rewards
nemo_rl.algorithms.dpo.preference_collate_fn = collate_with_rewards
nemo_rl.algorithms.dpo.maybe_pad_last_batch = pad_with_rewards
'''
_COMMAND: Final = """
if __name__ == "__main__":
    import runpy

    runpy.run_path("examples/run_dpo.py", run_name="__main__")
"""


def _glue(formula: Expression) -> str:
    sides = {
        name: text
        for side, part in (("w", "[::2]"), ("l", "[1::2]"))
        for name, text in {
            f"logp_{side}": f"logp{part}",
            f"len_{side}": f"length{part}",
            f"ref_logp_{side}": f"ref_logp{part}",
            f"reward_{side}": f'data["reward"]{part}',
        }.items()
    }
    text = _LOSS.format(loss=call(formula, "NeMo-RL", both() | sides))
    return text + (_REWARDS if formula.reward else "") + _COMMAND


def _use(formula: Expression) -> str:
    text = "python my_loss.py --config …, in a checkout, in place of examples/run_dpo.py"
    if formula.reward:
        text += "; a completion in the data has its reward beside its rank"
    return text


NEMO_RL: Final = Recipe(
    name="nemo-rl",
    trainer="NeMo-RL",
    use=_use,
    tried=(
        "nemo-rl 0.6.0+7ea279abf: its own DPOLossFn called, its data functions by their "
        "signatures; it is no package and wants CUDA, so that its command was not run"
    ),
    imports=(
        "import nemo_rl.algorithms.dpo",
        "import nemo_rl.data.utils",
        "from nemo_rl.algorithms.loss import DPOLossFn",
        "from nemo_rl.algorithms.utils import masked_mean",
    ),
    glue=_glue,
)
