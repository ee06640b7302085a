"""Token bandit: write tokens near a rewarded one that the reference policy rarely writes."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray
from typing_extensions import override

from envs.bandit import exact
from envs.bandit.reference import SQUASH, Vector, cauchy_bins, nearest, tilted
from envs.base import Defaults, Params, Response, Task
from mpo.errors import RequestError, unknown
from mpo.policies import GPTPolicy, MarkovPolicy, PositionsPolicy, TokenPolicy
from mpo.settings import count, one_of

PEAKS: Mapping[str, float] = MappingProxyType({"off_support": 0.7, "aligned": 0.2})
"""Where the reward peaks, as a share of the vocabulary: R1, rare in π_ref, or R2, near its mode."""

BY_CONTEXT = "by_context"
"""The reward that peaks from R2's place to R1's as the context goes from 0 to the last token."""

GROUPS = 10
"""Neighbourhoods of contexts with one peak each, where the reward is by context."""

ARCHITECTURES: Mapping[str, Callable[[int, int], TokenPolicy]] = MappingProxyType(
    {"table": MarkovPolicy, "positions": PositionsPolicy, "gpt": GPTPolicy}
)

LEVELS: Mapping[str, float] = MappingProxyType({"reference": 0.0, "medium": 0.5, "expert": 0.95})
"""Reference agents: the share they gain of the distance from π_ref's return to the best, 1."""


@dataclass(frozen=True)
class TokenBandit(Task):
    """The didactic bandit of Tajwar et al. 2024 (arXiv:2404.14367), appendix I.

    The context is one token, a response `horizon` tokens, and its return
    mean_t exp(−((y_t − c)/w)²) with w a tenth of the vocabulary and c at seven
    tenths (R1) or two tenths (R2) of it: 70 or 20 ± 10 at the paper's size.
    Agents start at π_ref, where tokens are independent draws of `cauchy_bins`.

    A table trained on its own samples can settle in a cycle: once the row of the
    commonest token leads to the rewarded one, leading back to it looks good, and
    the return stays near a half. A row for each position, or the GPT, need not.

    Attributes:
      reward: where the reward peaks: "off_support" (the paper's R1), "aligned" (R2), or
        "by_context", from R2's place to R1's: the higher the context, the harder the prompt.
      architecture: "table" (first-order), "positions" (a row for each position of a response), or
        "gpt" (GPT-nano, as in the paper).
      squash: how Cauchy samples come into [-1, 1]: "clip" (the paper's text) or "tanh".
      vocabulary: number of tokens.
      horizon: tokens in a response.
    """

    reward: str = one_of("off_support", (*PEAKS, BY_CONTEXT))
    architecture: str = one_of("table", ARCHITECTURES)
    squash: str = one_of("clip", SQUASH)
    vocabulary: int = count(100, at_least=10)
    horizon: int = count(10)

    name: ClassVar[str] = "token_bandit"
    defaults: ClassVar[Defaults] = Defaults(
        rows=5120,
        reference="reference",
        close="medium",
        apart=(0.95, 0.52),  # what the expert and the agent closest to it earn
        sizes={"small": "quick", "paper": "quick"},
    )

    @property
    @override
    def policy(self) -> TokenPolicy:
        if self.architecture == "positions" and self.reward == BY_CONTEXT:
            return PositionsPolicy(self.vocabulary, self.horizon, GROUPS)
        return ARCHITECTURES[self.architecture](self.vocabulary, self.horizon)

    @property
    def token_reward(self) -> Vector:
        """The reward of writing each token; a return is its mean over the positions."""
        if self.reward == BY_CONTEXT:
            raise RequestError(
                "with reward 'by_context' a token has no one reward: see `token_rewards`"
            )
        return self._around(PEAKS[self.reward])

    @property
    def token_rewards(self) -> Float[np.ndarray, "G V"]:
        """The reward of each token in each group of contexts; one group, if all are alike."""
        if self.reward != BY_CONTEXT:
            return self.token_reward[None]
        peaks = np.linspace(PEAKS["aligned"], PEAKS["off_support"], GROUPS)
        return np.stack([self._around(peak) for peak in peaks])

    def _around(self, peak: float) -> Vector:
        centre, width = peak * self.vocabulary, 0.1 * self.vocabulary
        return np.exp(-(((np.arange(self.vocabulary) - centre) / width) ** 2))

    @property
    def reference(self) -> Vector:
        """π_ref(a) of each token."""
        return cauchy_bins(self.vocabulary, self.squash)

    @override
    def initial(self, key: PRNGKeyArray) -> Params:
        """Return the agent brought to π_ref by KL minimisation; every key gives the same."""
        return self.agent("reference")

    @override
    def start(self, key: PRNGKeyArray) -> Int[Array, ""]:
        """Draw a context token, uniformly."""
        return jax.random.randint(key, (), 0, self.vocabulary, jnp.int32)

    @override
    def respond(self, params: Params, start: Int[Array, ""], key: PRNGKeyArray) -> Response:
        """Write a response to the context `start`; `reward` is each token's share of the return."""
        tokens = self.policy.sample(params, key, start)
        rewards = jnp.asarray(self.token_rewards / self.horizon)
        group = jnp.asarray(start, jnp.int32) * rewards.shape[0] // self.vocabulary
        reward = rewards[group, tokens] if rewards.shape[0] > 1 else rewards[0][tokens]
        return Response(start, tokens, reward, jnp.ones(self.horizon, bool))

    @override
    def score(self, params: Params, start: Int[Array, ""], key: PRNGKeyArray) -> Float[Array, ""]:
        return self.respond(params, start, key).total

    @override
    def agents(self) -> tuple[str, ...]:
        """Return the names of the reference agents: "reference" (π_ref itself), and better ones."""
        return tuple(LEVELS)

    @override
    def agent(self, level: str) -> Params:
        """Return the best agent at its distance from π_ref: π*(a) ∝ π_ref(a) e^{λ r(a)}.

        `LEVELS` fixes the return, and so λ. The table attains it exactly; the GPT is
        brought there by KL minimisation, once per process.
        """
        if level not in LEVELS:
            raise unknown(f"agent of {self.name}", level, LEVELS)
        return jax.tree.map(jnp.asarray, _agent(self, level, jnp.result_type(float)))

    def expected_return(self, params: Params) -> Float[Array, ""]:
        """Return the exact expected return of a table policy, of either kind."""
        rewards = jnp.asarray(self.token_rewards)
        if self.architecture == "positions":
            return exact.expected_return_of_rows(params, rewards)
        return exact.expected_return(self._table(params), self._contexts, rewards[0], self.horizon)

    def divergence(self, params: Params) -> Float[Array, ""]:
        """Return the exact KL(π ‖ π_ref) of a table policy's responses, in nats."""
        row = jnp.log(jnp.asarray(self.reference))
        if self.architecture == "positions":
            return exact.divergence_of_rows(params, row)
        table = self._table(params)
        other = jnp.tile(row.astype(table.dtype), (self.vocabulary, 1))
        return exact.divergence(table, other, self._contexts, self.horizon)

    @property
    def _contexts(self) -> Float[Array, " V"]:
        return jnp.full(self.vocabulary, 1.0 / self.vocabulary)

    def _table(self, params: Params) -> Array:
        if self.architecture != "table" or self.reward == BY_CONTEXT:
            raise RequestError(
                "exact returns and divergences need architecture 'table' or 'positions', and with "
                f"reward 'by_context' the latter: for {self.architecture!r} average over responses "
                "instead"
            )
        return params


@functools.cache
def _agent(task: TokenBandit, level: str, dtype: Any) -> Any:
    """Return the parameters as arrays of the host: none that a trace could have made stays."""
    laws = []
    for rewards in task.token_rewards:
        start = float(task.reference @ rewards)
        target = start + LEVELS[level] * (float(rewards.max()) - start)
        laws.append(tilted(task.reference, rewards, target))
    with jax.ensure_compile_time_eval():
        if len(laws) == 1:
            return jax.device_get(nearest(task.policy, jnp.asarray(laws[0], dtype)))
        if not isinstance(task.policy, PositionsPolicy):
            raise RequestError(
                "with reward 'by_context' reference agents need architecture 'positions'"
            )
        rows = np.log(np.stack(laws))[:, None]
        return np.tile(rows, (1, task.horizon, 1)).astype(dtype)
