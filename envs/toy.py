"""A task with a known answer: walk to the origin of a plane, by an agent known in closed form."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray
from typing_extensions import override

from envs.base import Defaults, Params, Response, Task
from mpo.errors import unknown
from mpo.policies import GaussianParams, GaussianPolicy
from mpo.settings import count


class Walker(NamedTuple):
    """The agent a = −gain · x + spread · ε: gain 1 and spread 0 are the best there is."""

    gain: float
    spread: float


WALKERS: Mapping[str, Walker] = MappingProxyType(
    {
        "novice": Walker(gain=0.1, spread=0.6),
        "medium": Walker(gain=0.5, spread=0.3),
        "expert": Walker(gain=1.0, spread=0.1),
    }
)


@dataclass(frozen=True)
class Reach(Task):
    """A point walks in the plane: x' = x + a, r = exp(−½ ‖x'‖²), x_0 ~ N(0, I).

    Returns lie in (0, horizon). The policy is linear and sees x, so every x_t is
    Gaussian and the expected return of any agent is known exactly. For the walker
    a = −k x + σ ε: x_t ~ N(0, v_t I) with v_0 = 1, v_{t+1} = (1−k)² v_t + σ², and
    E[r_t] = 1 / (1 + v_{t+1}).

    Attributes:
      horizon: steps in a response; none ends early.
    """

    horizon: int = count(10)

    name: ClassVar[str] = "reach"
    defaults: ClassVar[Defaults] = Defaults(
        rows=512, reference="novice", close="medium", apart=(9.9, 8.7)
    )

    @property
    @override
    def policy(self) -> GaussianPolicy:
        """The architecture of this task's agents: linear."""
        return GaussianPolicy(observation_size=2, action_size=2, hidden=())

    @override
    def initial(self, key: PRNGKeyArray) -> Params:
        """Draw a fresh agent: it hardly looks where it is, and stumbles."""
        return self.policy.init(key)

    @override
    def start(self, key: PRNGKeyArray) -> Float[Array, " 2"]:
        """Draw a place to start from."""
        return jax.random.normal(key, (2,))

    @override
    def respond(self, params: Params, start: Float[Array, " 2"], key: PRNGKeyArray) -> Response:
        """Walk from `start` and return the whole response."""

        def step(place: Array, key: PRNGKeyArray) -> tuple[Array, Response]:
            action = self.policy.sample(params, key, place)
            reached = place + action
            reward = jnp.exp(-0.5 * jnp.sum(jnp.square(reached)))
            return reached, Response(place, action, reward, jnp.ones((), bool))

        return jax.lax.scan(step, start, jax.random.split(key, self.horizon))[1]

    @override
    def score(
        self, params: Params, start: Float[Array, " 2"], key: PRNGKeyArray
    ) -> Float[Array, ""]:
        return self.respond(params, start, key).total

    @override
    def agents(self) -> tuple[str, ...]:
        """Return the names of the reference agents, from the least to the most skilled."""
        return tuple(WALKERS)

    @override
    def agent(self, level: str) -> GaussianParams:
        """Return the parameters of the walker `level`."""
        if level not in WALKERS:
            raise unknown(f"agent of {self.name}", level, WALKERS)
        walker = WALKERS[level]
        return GaussianParams(
            kernels=(-walker.gain * jnp.eye(2),),
            biases=(jnp.zeros(2),),
            log_std=jnp.log(jnp.full(2, walker.spread)),
            observation_mean=jnp.zeros(2),
            observation_std=jnp.ones(2),
        )

    def expected_return(self, params: GaussianParams) -> Float[Array, ""]:
        """Return the exact expected return: E[exp(−½ ‖x‖²)] of each Gaussian x_1 … x_T."""
        kernel = params.kernels[0] / params.observation_std[:, None]
        move = jnp.eye(2, dtype=kernel.dtype) + kernel
        drift = params.biases[0] - params.observation_mean @ kernel
        noise = jnp.diag(jnp.exp(2.0 * params.log_std))

        def step(law: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], Array]:
            mean, covariance = law
            mean, covariance = mean @ move + drift, move.T @ covariance @ move + noise
            wider = covariance + jnp.eye(2, dtype=kernel.dtype)
            distance = mean @ jnp.linalg.solve(wider, mean)
            return (mean, covariance), jnp.exp(-0.5 * distance) / jnp.sqrt(jnp.linalg.det(wider))

        law = (jnp.zeros_like(drift), jnp.eye(2, dtype=kernel.dtype))
        return jnp.sum(jax.lax.scan(step, law, None, length=self.horizon)[1])
