"""Summed log-probabilities of the completions of a batch under a causal language model."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from llm_transfer.trainers.logprobs import BUDGET, gather_logps, project_logps

# What collators put into a batch beside the inputs of the model.
_NOT_FOR_THE_MODEL = frozenset(
    (
        "completion_mask",
        "ref_chosen_logps",
        "ref_rejected_logps",
        "chosen_reward",
        "rejected_reward",
    )
)


class Scores(NamedTuple):
    """Of each completion: log-probability summed over its tokens, and their number; shape [N]."""

    logp: Tensor
    length: Tensor


class Likelihood:
    """Log-probabilities of completions, by the cheapest way that a model allows.

    The last layer is applied to a few positions at a time, and to those of completions only
    (`project_logps`). That is right where logits are what this layer returns; models that
    scale or cap them afterwards are found out on the first batch, by comparing one position,
    and have their logits computed in one piece (`gather_logps`).

    Attributes:
      budget: how many logits are held in single precision at a time.
      whole: always compute all logits, as sharded models need, whose last layer can't be
        applied from outside.
    """

    def __init__(self, budget: int = BUDGET, whole: bool = False) -> None:
        self.budget = budget
        self.whole = whole
        self._plain: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()

    def __call__(self, model: nn.Module, inputs: Mapping[str, Tensor]) -> Scores:
        """Return the scores of a batch.

        Args:
          model: a causal language model, wrapped or not.
          inputs: `input_ids`, `attention_mask` and `completion_mask`, each of shape [N, T],
            and what else the model takes.
        """
        head = None if self.whole else _head(model)
        if head is not None and self._plain.get(head, True):
            with _one_position(head) as seen:
                output = model(**_model_inputs(inputs))
            if self._is_plain(head, seen, output.logits):
                return self._by_projection(model, head, seen[0], inputs)
        return self.with_outputs(model, inputs)[0]

    def with_outputs(self, model: nn.Module, inputs: Mapping[str, Tensor]) -> tuple[Scores, Any]:
        """Return the scores of a batch and the outputs of the model, with all logits."""
        outputs = model(**_model_inputs(inputs))
        targets, mask = _targets(inputs)
        # The last position predicts nothing: padding the targets keeps the logits uncopied.
        targets, mask = (nn.functional.pad(x, (0, 1)) for x in (targets, mask))
        logits = outputs.logits[:, -targets.shape[1] :]  # a soft prompt comes before the tokens
        logps = gather_logps(logits, targets, mask, self.budget)
        return Scores(logps.sum(-1), mask.sum(-1)), outputs

    def _is_plain(self, head: nn.Module, seen: list[Tensor], logits: Tensor) -> bool:
        if len(seen) != 1 or seen[0].dim() != 3:
            self._plain[head] = False
        elif head not in self._plain:
            with torch.no_grad():
                alone = head(seen[0][:, :1])
            self._plain[head] = torch.equal(alone.float(), logits[:, :1].float())
        return self._plain[head]

    def _by_projection(
        self, model: nn.Module, head: nn.Module, hidden: Tensor, inputs: Mapping[str, Tensor]
    ) -> Scores:
        targets, mask = _targets(inputs)
        states = hidden[:, -inputs["input_ids"].shape[1] :][:, :-1][mask]
        size = _unwrapped(model).config.get_text_config().vocab_size
        logps = project_logps(head, states, targets[mask], size, self.budget)
        by_position = logps.new_zeros(mask.shape).masked_scatter(mask, logps)
        return Scores(by_position.sum(-1), mask.sum(-1))


def _targets(inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the token that follows each position, and where it is one of the completion."""
    return inputs["input_ids"][:, 1:], inputs["completion_mask"][:, 1:].bool()


def _model_inputs(inputs: Mapping[str, Tensor]) -> dict[str, Any]:
    kept = {name: value for name, value in inputs.items() if name not in _NOT_FOR_THE_MODEL}
    return {**kept, "use_cache": False}


def _unwrapped(model: nn.Module) -> Any:
    from accelerate.utils import extract_model_from_parallel  # type: ignore[import-untyped]

    return extract_model_from_parallel(model)


def _head(model: nn.Module) -> nn.Module | None:
    found = getattr(_unwrapped(model), "get_output_embeddings", lambda: None)()
    return found if isinstance(found, nn.Module) else None


@contextmanager
def _one_position(head: nn.Module) -> Iterator[list[Tensor]]:
    """Let `head` compute the logits of the first position only, and collect what it was given."""
    seen: list[Tensor] = []

    def shorten(_: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if not given or given[0].dim() != 3:
            return None
        seen.append(given[0])
        return (given[0][:, :1], *given[1:])

    handle = head.register_forward_pre_hook(shorten)
    try:
        yield seen
    finally:
        handle.remove()
