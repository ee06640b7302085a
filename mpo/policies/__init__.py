"""Policies: pure functions of a parameter pytree, vmappable over agents.

Continuous actions: `GaussianPolicy`; one of several: `CategoricalPolicy`. Tokens: `MarkovPolicy`
and `PositionsPolicy`, tables of logits, and `GPTPolicy`, a small transformer; all are a
`TokenPolicy`. Reward models are policies whose probabilities add up to no one: `TokenScores`,
`StepScores`, and `PolicyScores`, whose parameters are those of a policy.
"""

from mpo.policies.categorical import CategoricalParams, CategoricalPolicy
from mpo.policies.gaussian import GaussianParams, GaussianPolicy
from mpo.policies.gpt import GPTPolicy
from mpo.policies.markov import MarkovPolicy
from mpo.policies.positions import PositionsPolicy
from mpo.policies.scores import PolicyScores, StepScores, TokenScores
from mpo.policies.tokens import TokenPolicy

__all__ = [
    "CategoricalParams",
    "CategoricalPolicy",
    "GPTPolicy",
    "GaussianParams",
    "GaussianPolicy",
    "MarkovPolicy",
    "PolicyScores",
    "PositionsPolicy",
    "StepScores",
    "TokenPolicy",
    "TokenScores",
]
