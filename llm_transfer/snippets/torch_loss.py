"""Objectives as PyTorch functions, run from the text that an export prints."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from llm_transfer.snippets.dialect import TORCH
from llm_transfer.snippets.function import execute, function
from mpo.errors import RequestError
from mpo.expressions import Expression, Named, resolve


@dataclass(frozen=True)
class TorchLoss:
    """A loss of pairs that takes every input, and uses those that its formula needs.

    Attributes:
      formula: what it computes.
      text: the function that computes it, as an export prints it.
    """

    formula: Expression
    text: str
    _function: Callable[..., Tensor]

    @property
    def name(self) -> str:
        """The name of the objective."""
        return self.formula.name

    @property
    def needs_reference(self) -> bool:
        """Whether it reads log-probabilities under the reference model."""
        return self.formula.reference

    @property
    def needs_reward(self) -> bool:
        """Whether it reads explicit rewards."""
        return self.formula.reward

    @property
    def needs_credit(self) -> bool:
        """Whether it is for responses written in training: reads credit or who wrote them."""
        return not {"credit_w", "sampled_logp_w"}.isdisjoint(self.formula.inputs)

    @property
    def temporal(self) -> bool:
        """Whether it changes with the progress n/N ∈ [0, 1] of the training."""
        return self.formula.temporal

    @property
    def length_normalise(self) -> bool:
        """Whether it divides log-probabilities by the number of tokens."""
        return self.formula.length_normalise

    def __call__(
        self,
        logp_w: Tensor,
        logp_l: Tensor,
        *,
        len_w: Tensor | None = None,
        len_l: Tensor | None = None,
        ref_logp_w: Tensor | None = None,
        ref_logp_l: Tensor | None = None,
        reward_w: Tensor | None = None,
        reward_l: Tensor | None = None,
        sampled_logp_w: Tensor | None = None,
        sampled_logp_l: Tensor | None = None,
        credit_w: Tensor | None = None,
        credit_l: Tensor | None = None,
        progress: float | Tensor = 0.0,
    ) -> Tensor:
        """Return the loss of each pair, of the shape of `logp_w`.

        Args:
          logp_w, logp_l: log-probabilities of chosen and rejected, summed over tokens.
          len_w, len_l: tokens in each response.
          ref_logp_w, ref_logp_l: log-probabilities under the reference.
          reward_w, reward_l: explicit rewards.
          sampled_logp_w, sampled_logp_l: log-probabilities under the policy that wrote them.
          credit_w, credit_l: what each response is credited with.
          progress: n/N in [0, 1].

        Raises:
          RequestError: an input is missing that the formula needs.
        """
        every: dict[str, Any] = {
            "logp_w": logp_w,
            "logp_l": logp_l,
            "len_w": len_w,
            "len_l": len_l,
            "ref_logp_w": ref_logp_w,
            "ref_logp_l": ref_logp_l,
            "reward_w": reward_w,
            "reward_l": reward_l,
            "sampled_logp_w": sampled_logp_w,
            "sampled_logp_l": sampled_logp_l,
            "credit_w": credit_w,
            "credit_l": credit_l,
            "progress": progress,
        }
        given = {name: every[name] for name in self.formula.inputs}
        for name, value in given.items():
            if value is None:
                raise RequestError(f"objective {self.name!r} needs {name!r}, and got none")
        return self._function(**given)


def torch_loss(objective: Named, **settings: object) -> TorchLoss:
    """Return the objective as a PyTorch loss of pairs.

    Args:
      objective: an objective, its formula, or what `mpo.objective` takes: a name, a run, a file.
      settings: of the objective, where it is named.

    Raises:
      RequestError: the objective or a setting is unknown, or has no formula.
    """
    formula = resolve(objective, **settings)
    text = function(formula, TORCH)
    return TorchLoss(formula, text, execute(text))
