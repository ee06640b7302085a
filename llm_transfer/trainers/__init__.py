"""Trainers that take any loss of pairs: on TRL, on plain transformers, and for OpenRLHF.

    MPOTrainer         TRL's DPOTrainer with another loss
    PreferenceTrainer  transformers.Trainer, without TRL
    PairLossModule     what OpenRLHF calls in place of its DPOLoss
    ForwardOnly        goes before either, in a class's bases: no gradient, forward passes alone

A loss is what `llm_transfer.torch_loss` returns, or the name or path of an objective.
"""

import importlib
from typing import Any, Final

# Imported when they are asked for: torch alone takes seconds.
_WHERE: Final = {
    "ForwardOnly": "forward_only",
    "Guide": "perturbation",
    "Ledger": "ledger",
    "Likelihood": "likelihood",
    "MPOTrainer": "mpo_trainer",
    "PairLossModule": "openrlhf",
    "Perturbation": "perturbation",
    "PreferenceCollator": "collator",
    "PreferenceTrainer": "preference_trainer",
    "SeededDescent": "seeded_descent",
    "change": "perturbation",
    "prepare": "rows",
    "replay": "seeded_descent",
    "with_reference": "reference",
}

__all__ = list(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
