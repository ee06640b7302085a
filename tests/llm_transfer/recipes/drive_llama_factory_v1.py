# mypy: ignore-errors
"""Call the recipes for LLaMA-Factory's v1: python drive_llama_factory_v1.py RECIPES [CHECKOUT/src].

With a checkout its own DPOTrainer trains on a batch, without one a class with the signatures that
were read at ff6d4d1.
"""

import importlib
import sys
from types import ModuleType, SimpleNamespace

import torch
from absent import let_be_empty
from expected import close
from torch.nn.functional import cross_entropy

sys.path.insert(0, sys.argv[1])
CHECKOUT = sys.argv[2] if len(sys.argv) > 2 else None


class DPOTrainer:
    """Signatures of llamafactory.v1.trainers.dpo_trainer.DPOTrainer, and what calls them."""

    def _extract_chosen_rejected_logps(self, logits, labels, token_type_ids, use_ld=True):
        shifted = labels[..., 1:]
        each = -cross_entropy(
            logits[..., :-1, :].flatten(0, 1), shifted.flatten(), reduction="none"
        ).view(shifted.shape)
        found = []
        for side in (1, 2):
            mask = (token_type_ids[..., 1:] == side) & (shifted != -100)
            found.append(((each * mask).sum(-1), mask.sum(-1) + 1e-6))
        (w, len_w), (r, len_r) = found
        return w, r, w / len_w, r / len_r

    def _sigmoid_dpo_loss(
        self, policy_chosen_logps, policy_rejected_logps, ref_chosen_logps, ref_rejected_logps
    ):
        raise NotImplementedError

    def _odds_ratio_loss(self, chosen_logps_avg, rejected_logps_avg):
        raise NotImplementedError

    def compute_loss(self, batch):
        inputs = batch["labels"], batch["token_type_ids"]
        logits = self.model(input_ids=batch["input_ids"]).logits
        w, r, mean_w, mean_r = self._extract_chosen_rejected_logps(logits, *inputs)
        if self.pref_loss == "orpo":
            return self._odds_ratio_loss(mean_w, mean_r).mean()
        with torch.no_grad():
            logits = self.ref_model(input_ids=batch["input_ids"]).logits
            ref_w, ref_r, *_ = self._extract_chosen_rejected_logps(logits, *inputs, use_ld=False)
        return self._sigmoid_dpo_loss(w, r, ref_w, ref_r).mean()


NAME = "llamafactory.v1.trainers.dpo_trainer"
if CHECKOUT is None:
    for end in range(1, 5):
        name = ".".join(NAME.split(".")[:end])
        sys.modules[name] = ModuleType(name)
    vars(sys.modules[NAME]).update(DPOTrainer=DPOTrainer, run_dpo=None)
else:
    sys.path.insert(0, CHECKOUT)
    let_be_empty("torchdata")


class Model(torch.nn.Module):
    """A language model of one word before."""

    def __init__(self, seed):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.table = torch.nn.Parameter(torch.randn(13, 13, generator=generator))

    def forward(self, input_ids, **others):
        return SimpleNamespace(logits=self.table[input_ids])


def batch():
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 13, (3, 12), generator=generator)
    side = torch.tensor([[1] * 6 + [2] * 6, [1] * 7 + [2] * 5, [1] * 5 + [2] * 6 + [0]])
    labels = ids.clone()
    labels[:, :2] = -100
    labels[side == 0] = -100
    for row in range(3):  # the prompt of the rejected
        start = int((side[row] == 2).nonzero()[0, 0])
        labels[row, start : start + 2] = -100
    return {"input_ids": ids, "labels": labels, "token_type_ids": side}


def sums(model, given):
    """Return log π of chosen and rejected, and their tokens, token by token."""
    found = torch.zeros(2, 3, dtype=torch.float64), torch.zeros(2, 3, dtype=torch.float64)
    for row in range(3):
        for at in range(1, 12):
            if given["labels"][row, at] != -100:
                side = int(given["token_type_ids"][row, at]) - 1
                logits = model.table[given["input_ids"][row, at - 1]].double().detach()
                found[0][side, row] += logits.log_softmax(-1)[given["labels"][row, at]]
                found[1][side, row] += 1
    return found


for name, kind in (("dpo", "sigmoid"), ("orpo", "orpo"), ("dpo_norm", "sigmoid")):
    theirs = importlib.import_module(NAME)
    before = dict(vars(theirs.DPOTrainer))
    module = importlib.import_module(f"{name}_llama_factory_v1")
    trainer = object.__new__(theirs.DPOTrainer)
    settings = {
        "pref_loss": kind, "pref_beta": 0.1, "pref_ftx": 0.0, "ld_alpha": None, "device": "cpu",
        "model": Model(0), "ref_model": Model(1), "dpo_label_smoothing": 0.0,
    }  # fmt: skip
    for setting, value in settings.items():
        setattr(trainer, setting, value)
    given = batch()
    found = trainer.compute_loss(given)
    (logp, length), (ref, _) = sums(trainer.model, given), sums(trainer.ref_model, given)
    inputs = {"dpo": (*logp, *ref), "orpo": (*logp, *length), "dpo_norm": (*logp, *length, *ref)}
    close(found, module.loss(*inputs[name]).mean(), f"{name}, a batch", 1e-5)
    found.backward()
    assert torch.isfinite(trainer.model.table.grad).all()
    for method in ("_sigmoid_dpo_loss", "_odds_ratio_loss", "_extract_chosen_rejected_logps"):
        setattr(theirs.DPOTrainer, method, before[method])
print("llama-factory v1", "stand-in" if CHECKOUT is None else "its own source")
