"""A small synthetic language with a judge that knows the truth, and models that speak it.

Prompts ask for a story on an animal, a place and two things; a story is good if its
sentences can be parsed, agree in number, make sense, and keep to what was asked.

    models = language.models()                     # folders for from_pretrained; cached
    rows = language.preferences(1000, "train")     # prompt, chosen, rejected
    language.reward(prompt, response)              # the truth, in [0, 1]
"""

import importlib
from typing import Any, Final

_WHERE: Final = {
    "SCALES": "llm_transfer.language.recipes",
    "models": "llm_transfer.language.siblings",
    "preferences": "envs.language.corpus",
    "reward": "envs.language.judge",
    "tokenizer": "llm_transfer.language.vocabulary",
}

__all__ = list(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)
