"""Policies: pure functions of a parameter pytree, vmappable over agents.

Continuous actions: `GaussianPolicy`. Tokens: `MarkovPolicy`, a table of logits,
and `GPTPolicy`, a small transformer; both are a `TokenPolicy`.
"""

from mpo.policies.gaussian import GaussianParams, GaussianPolicy
from mpo.policies.gpt import GPTPolicy
from mpo.policies.markov import MarkovPolicy
from mpo.policies.tokens import TokenPolicy

__all__ = ["GPTPolicy", "GaussianParams", "GaussianPolicy", "MarkovPolicy", "TokenPolicy"]
