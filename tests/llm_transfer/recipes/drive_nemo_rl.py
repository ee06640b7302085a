# mypy: ignore-errors
"""Call the recipes for NeMo-RL: python drive_nemo_rl.py RECIPES [CHECKOUT].

With a checkout, DPOLossFn and the functions of its data are its own, without stand-ins where
signatures are as read at 7ea279abf.
"""

import importlib
import sys
import typing
from types import ModuleType, SimpleNamespace
from unittest.mock import MagicMock

import torch
import typing_extensions
from absent import let_be_empty
from expected import close

sys.path.insert(0, sys.argv[1])
CHECKOUT = sys.argv[2] if len(sys.argv) > 2 else None


def masked_mean(values, mask, dim=None, global_normalization_factor=None):
    factor = mask.sum() if global_normalization_factor is None else global_normalization_factor
    return torch.sum(values * mask, dim=dim) / (factor + 1e-8)


class DPOLossFn:
    """Signatures of nemo_rl.algorithms.loss.DPOLossFn; the parts that the recipe leaves alone."""

    def __init__(self, cfg, use_fused_linear_logprobs=False):
        self.preference_loss_weight = cfg.preference_loss_weight

    def __call__(self, next_token_logprobs, data, global_valid_seqs, global_valid_toks):
        loss, accuracy, *_ = self._dpo_loss(next_token_logprobs, data, global_valid_seqs)
        return self.preference_loss_weight * loss, {"accuracy": accuracy.item()}


def preference_preprocessor(datum_dict, task_data_spec, tokenizer, max_seq_length, idx):
    return {"message_log_chosen": datum_dict, "idx": idx}


def preference_collate_fn(data_batch, tokenizer, make_sequence_length_divisible_by, add_loss_mask):
    return {"input_ids": torch.zeros(2 * len(data_batch), 3)}


def maybe_pad_last_batch(batch, dp_size, mbs):
    missing = -len(batch["input_ids"]) % (dp_size * mbs)
    batch["input_ids"] = torch.nn.functional.pad(batch["input_ids"], (0, 0, 0, missing))
    return batch


def stand_in():
    def module(name, **contents):
        sys.modules[name] = made = ModuleType(name)
        vars(made).update(contents)
        if "." in name:
            parent, _, last = name.rpartition(".")
            setattr(sys.modules[parent], last, made)

    module("nemo_rl")
    module("nemo_rl.algorithms")
    module(
        "nemo_rl.algorithms.dpo",
        preference_collate_fn=preference_collate_fn,
        maybe_pad_last_batch=maybe_pad_last_batch,
        DPOLossFn=DPOLossFn,
    )
    module("nemo_rl.algorithms.loss", DPOLossFn=DPOLossFn)
    module("nemo_rl.algorithms.utils", masked_mean=masked_mean)
    module("nemo_rl.data")
    module("nemo_rl.data.utils", preference_preprocessor=preference_preprocessor)


if CHECKOUT is None:
    stand_in()
else:
    sys.path.insert(0, CHECKOUT)
    typing.TypedDict = typing_extensions.TypedDict  # as in the Python 3.13 that it wants
    importlib.import_module("datasets")  # asks which of the modules below there are
    sys.modules["torch.utils.tensorboard"] = MagicMock()
    let_be_empty(
        "fastapi",
        "uvicorn",
        "ray", "megatron", "wandb", "hydra", "torchdata", "nvtx", "swanlab", "mlflow", "vllm",
        "zmq", "math_verify", "colored", "decord", "soundfile", "pynvml", "tensordict",
        "transformer_engine", "nemo_automodel", "debugpy", "blobfile", "num2words", "omegaconf",
        "qwen_vl_utils",
    )  # fmt: skip

torch.manual_seed(0)
pairs, length = 3, 7
token_mask = (torch.arange(length) >= 2).float().repeat(2 * pairs, 1)
token_mask[1, 5:] = 0
logp, reference = -torch.rand(2 * pairs, length - 1), -torch.rand(2 * pairs, length)
kept = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0, 0.0])  # the last pair was too long
data = {"token_mask": token_mask, "sample_mask": kept, "reference_policy_logprobs": reference}
data["reward"] = torch.tensor([2.0, 0.5, 1.5, 1.0, 9.0, 0.0])

mask = token_mask[:, 1:]
sums, before = (logp * mask).sum(-1), (reference[:, :-1] * mask).sum(-1)
tokens = mask.sum(-1)
setting = SimpleNamespace(
    reference_policy_kl_penalty=0.1, preference_loss_weight=1.0, sft_loss_weight=0.0,
    preference_average_log_probs=False, sft_average_log_probs=False,
)  # fmt: skip
original = importlib.import_module("nemo_rl.algorithms.loss").DPOLossFn
for name, given in (
    ("dpo", (sums, before)),
    ("orpo", (sums, tokens)),
    ("rpo_bwd", (sums, before, data["reward"])),
):
    module = importlib.import_module(f"{name}_nemo_rl")
    at = logp.clone().requires_grad_()
    found, metrics = module.LossFn(setting)(at, data, kept.sum(), None)
    sides = [side for one in given for side in (one[::2], one[1::2])]
    close(found, module.loss(*sides)[:2].mean(), f"{name}, the pairs that count", 1e-6)
    (slope,) = torch.autograd.grad(found, at)
    assert torch.isfinite(slope).all()
    assert (slope[4:] == 0).all()
    if name == "dpo" and CHECKOUT is not None:
        theirs, of_theirs = original(setting)(logp, data, kept.sum(), None)
        close(found, theirs, "dpo, beside its own", 1e-6)
        close(metrics["accuracy"], of_theirs["accuracy"], "accuracy, beside its own", 1e-6)
    print(name, metrics)

dpo = importlib.import_module("nemo_rl.algorithms.dpo")
assert dpo.DPOLossFn is module.LossFn
answers = [
    {"rank": 1, "reward": -1.0, "completion": []},
    {"rank": 0, "reward": 4, "completion": []},
]
if CHECKOUT is None:  # its own want a tokenizer and a cluster
    utils = importlib.import_module("nemo_rl.data.utils")
    rows = [
        utils.preference_preprocessor({"completions": answers}, None, None, 8, n) for n in (0, 1, 2)
    ]
    batch = dpo.preference_collate_fn(
        rows, tokenizer=None, make_sequence_length_divisible_by=1, add_loss_mask=True
    )
    assert batch["reward"].tolist() == [4.0, -1.0] * 3
    padded = dpo.maybe_pad_last_batch(batch, 2, 4)
    assert padded["reward"].shape == (8,) == padded["input_ids"].shape[:1]
print("nemo-rl", "stand-in" if CHECKOUT is None else "its own source")
