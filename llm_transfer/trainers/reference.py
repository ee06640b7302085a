"""Log-probabilities under the reference model: of a model, of a model without its adapter."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from llm_transfer.trainers.likelihood import Likelihood
from llm_transfer.trainers.rows import REFERENCE, Row

ADAPTER = "ref"  # a frozen copy of a loaded adapter; TRL gives it the same name


def is_adapted(model: Any) -> bool:
    """Return whether a model is wrapped by PEFT."""
    return hasattr(model, "peft_config") and hasattr(model, "disable_adapter")


def keep_adapter(model: Any) -> None:
    """Keep a frozen copy of the adapter that a model arrives with, to be its reference."""
    from peft import get_peft_model_state_dict, set_peft_model_state_dict

    active = model.active_adapter
    if ADAPTER not in model.peft_config:
        model.add_adapter(ADAPTER, model.peft_config[active])
    weights = get_peft_model_state_dict(model, adapter_name=active, save_embedding_layers=False)
    set_peft_model_state_dict(model, weights, adapter_name=ADAPTER)
    model.set_adapter(active)


@contextmanager
def without_adapter(model: Any) -> Iterator[None]:
    """Let an adapted model be its own reference: the copy of its adapter, or no adapter."""
    if ADAPTER not in model.peft_config:
        with model.disable_adapter():
            yield
        return
    active = model.active_adapter
    model.set_adapter(ADAPTER)
    try:
        yield
    finally:
        model.set_adapter(active)


@torch.no_grad()
def with_reference(
    rows: Sequence[Row],
    model: nn.Module,
    collate: Callable[[Sequence[Row]], Mapping[str, Tensor]],
    batch_size: int = 32,
) -> list[dict[str, Any]]:
    """Return tokenized rows with the columns `ref_chosen_logps` and `ref_rejected_logps`.

    Computed once, they let a trainer do without a reference model.
    """
    was_training, device = model.training, next(model.parameters()).device
    model.eval()
    score, found = Likelihood(), []
    for start in range(0, len(rows), batch_size):
        part = [rows[i] for i in range(start, min(start + batch_size, len(rows)))]
        batch = {name: value.to(device) for name, value in collate(part).items()}
        logps = score(model, batch).logp.double().view(2, -1).T.tolist()
        found += [
            {**row, **dict(zip(REFERENCE, pair, strict=True))}
            for row, pair in zip(part, logps, strict=True)
        ]
    model.train(was_training)
    return found
