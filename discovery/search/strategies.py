"""Evolution strategies by name: evosax behind one border, where fitness changes its sign.

Here higher is better; evosax minimises. A fitness that is not finite counts as the worst
finite one of its generation, so it ranks last and cannot reach the mean.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from mpo.errors import RequestError, unknown

State = Any  # evosax's, a pytree of arrays
Zeta = Float[Array, "parameters"]
Shaping = Callable[[Float[Array, "members"]], Float[Array, "members"]]


def ranks(cost: Float[Array, "members"]) -> Float[Array, "members"]:
    """Return centred ranks in [-½, ½]; equal costs share their mean rank."""
    order = jax.scipy.stats.rankdata(cost) - 1
    return (order / (cost.size - 1) - 0.5).astype(cost.dtype)


def raw(cost: Float[Array, "members"]) -> Float[Array, "members"]:
    """Return the costs as they are, around their mean: differences keep their size."""
    return cost - jnp.mean(cost)


def standardized(cost: Float[Array, "members"]) -> Float[Array, "members"]:
    """Return the costs around their mean, in units of their standard deviation."""
    return raw(cost) / (jnp.std(cost) + 1e-8)


SHAPINGS: Mapping[str, Shaping] = MappingProxyType(
    {"ranks": ranks, "raw": raw, "standardized": standardized}
)


@dataclass(frozen=True)
class Settings:
    """What a strategy is built from.

    Attributes:
      population: members of a generation.
      generations: how many there will be, which schedules run over.
      sigma: standard deviation of the first generation around the mean.
      final_sigma: that of the last; strategies that adapt it themselves ignore it.
      learning_rate: of Adam, which moves the mean of those that follow a gradient.
      final_learning_rate: that of the last generation.
      shaping: a name of `SHAPINGS`, for those that follow a gradient; the others rank.
    """

    population: int
    generations: int
    sigma: float
    final_sigma: float
    learning_rate: float
    final_learning_rate: float
    shaping: str = "ranks"


class Entry(NamedTuple):
    """How evosax's algorithm is made, and what is to be known of it.

    Attributes:
      make: (settings, parameters) to the algorithm.
      about: a line that says how it moves.
      gradient: whether Adam follows an estimated gradient, by shaped fitness.
      antithetic: whether member i and member i + P/2 are mirror images.
      initial: what evosax is to be told for a first deviation of σ.
      fixed: whether it draws from the same distribution in every generation.
    """

    make: Callable[[Settings, Zeta], Any]
    about: str
    gradient: bool = False
    antithetic: bool = False
    initial: Callable[[float], float] = float
    fixed: bool = False


def _schedule(first: float, last: float, generations: int) -> optax.Schedule:
    return optax.linear_schedule(first, last, max(generations - 1, 1))


def _adam(settings: Settings) -> optax.GradientTransformation:
    rates = settings.learning_rate, settings.final_learning_rate
    return optax.adam(_schedule(*rates, settings.generations))


def _shaped(settings: Settings) -> Callable[..., Array]:
    shape = SHAPINGS[settings.shaping]
    return lambda population, fitness, state, params: shape(fitness)


def _open_es(settings: Settings, zeta: Zeta) -> Any:
    from evosax.algorithms import Open_ES

    sigma = _schedule(settings.sigma, settings.final_sigma, settings.generations)
    return Open_ES(
        settings.population,
        zeta,
        optimizer=_adam(settings),
        std_schedule=lambda told: sigma(told + 1),  # read when a generation is told: for the next
        fitness_shaping_fn=_shaped(settings),
    )


def _pgpe(settings: Settings, zeta: Zeta) -> Any:
    from evosax.algorithms import PGPE

    return PGPE(
        settings.population,
        zeta,
        optimizer=_adam(settings),
        fitness_shaping_fn=_shaped(settings),
    )


def _adaptive(name: str) -> Callable[[Settings, Zeta], Any]:
    def make(settings: Settings, zeta: Zeta) -> Any:
        import evosax.algorithms

        return getattr(evosax.algorithms, name)(settings.population, zeta)

    return make


def _random(settings: Settings, zeta: Zeta) -> Any:
    from evosax.algorithms import RandomSearch

    def drawn(key: PRNGKeyArray) -> Zeta:
        return zeta + settings.sigma * jax.random.normal(key, zeta.shape, zeta.dtype)

    return RandomSearch(settings.population, zeta, sampling_fn=drawn)


STRATEGIES: Mapping[str, Entry] = MappingProxyType(
    {
        "open_es": Entry(
            _open_es, "OpenAI-ES: antithetic pairs, Adam on ranks", gradient=True, antithetic=True
        ),
        "pgpe": Entry(
            _pgpe, "PGPE: OpenAI-ES that adapts a deviation per parameter", True, antithetic=True
        ),
        "snes": Entry(_adaptive("SNES"), "separable natural ES: a deviation per parameter"),
        "xnes": Entry(
            _adaptive("xNES"),
            "exponential natural ES: a full covariance",
            initial=math.sqrt,  # evosax multiplies by it twice
        ),
        "cma_es": Entry(_adaptive("CMA_ES"), "CMA-ES: a full covariance, for tens of parameters"),
        "sep_cma_es": Entry(_adaptive("Sep_CMA_ES"), "CMA-ES with a diagonal covariance"),
        "simple_es": Entry(_adaptive("SimpleES"), "the best members' mean"),
        "random": Entry(
            _random,
            "the best of as many draws around the start: what a search is to beat",
            fixed=True,
        ),
    }
)


@dataclass(frozen=True, eq=False)
class Strategy:
    """A search over ζ: ask for members, tell their fitness (higher is better).

    Attributes:
      settings: what it was built from.
      algorithm: the strategy of evosax that is wrapped.
      params: evosax's numbers of it.
      antithetic: whether member i and member i + P/2 are mirror images.
    """

    settings: Settings
    algorithm: Any
    params: Any
    antithetic: bool

    def init(self, key: PRNGKeyArray, mean: Zeta) -> State:
        """Return the state before the first generation, around `mean`."""
        with _evosax():
            state = self.algorithm.init(key, mean, self.params)
            if hasattr(self.algorithm, "std_schedule"):
                state = state.replace(std=jnp.asarray(self.settings.sigma, mean.dtype))
            return _strong(state, mean.dtype)

    def ask(self, key: PRNGKeyArray, state: State) -> tuple[Float[Array, "members n"], State]:
        """Return the members of the next generation, and the state to be told about them."""
        with _evosax():
            members, asked = self.algorithm.ask(key, state, self.params)
            return members, _like(asked, state)

    def tell(
        self,
        key: PRNGKeyArray,
        members: Float[Array, "members n"],
        fitness: Float[Array, "members"],
        state: State,
    ) -> State:
        """Return the state after a generation whose members earned `fitness`.

        A generation without a finite fitness teaches nothing, and leaves it as it was.
        """
        cost = -finite_or_worst(fitness)
        learned = jnp.any(jnp.isfinite(fitness))
        with _evosax():
            told, _ = self.algorithm.tell(key, members, cost, state, self.params)
        told = _like(told, state)
        return jax.tree.map(lambda new, old: jnp.where(learned, new, old), told, state)

    def mean(self, state: State) -> Zeta:
        """Return ζ in the middle of the search."""
        return state.mean


def strategy(name: str, settings: Settings, zeta: Zeta) -> Strategy:
    """Return the strategy `name` for vectors like `zeta`.

    Raises:
      RequestError: there is no such strategy or shaping, or the settings cannot work.
    """
    if name not in STRATEGIES:
        raise unknown("strategy", name, STRATEGIES)
    if settings.shaping not in SHAPINGS:
        raise unknown("fitness shaping", settings.shaping, SHAPINGS)
    entry = STRATEGIES[name]
    if settings.population < 4 or settings.population % 2:
        raise RequestError(
            f"a population of {settings.population}: it must be even, and at least 4"
        )
    if settings.shaping != "ranks" and not entry.gradient:
        raise RequestError(f"strategy {name!r} knows only ranks: leave shaping at 'ranks'")
    if settings.final_sigma != settings.sigma and name != "open_es":
        raise RequestError(f"strategy {name!r} adapts sigma itself: leave final_sigma out")
    with _evosax():
        algorithm = entry.make(settings, zeta)
        params = algorithm.default_params
        if hasattr(params, "std_init"):
            params = params.replace(std_init=jnp.asarray(entry.initial(settings.sigma), zeta.dtype))
        elif not entry.fixed and not hasattr(algorithm, "std_schedule"):
            raise RuntimeError(f"strategy {name!r} has no place for sigma in this evosax")
    return Strategy(settings, algorithm, params, entry.antithetic)


def finite_or_worst(fitness: Float[Array, "members"]) -> Float[Array, "members"]:
    """Return the fitness with what is not finite replaced by the worst that is, or 0 if none is."""
    finite = jnp.isfinite(fitness)
    worst = jnp.min(jnp.where(finite, fitness, jnp.inf))
    worst = jnp.where(jnp.any(finite), worst, jnp.zeros_like(worst))
    return jnp.where(finite, fitness, worst)


@contextmanager
def _evosax() -> Iterator[None]:
    """Let evosax promote types and ranks as it is used to."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def _strong(state: State, dtype: Any) -> State:
    """Return the state as arrays with fixed dtypes, which telling must not change."""

    def fixed(leaf: Any) -> Array:
        array = jnp.asarray(leaf)
        if jnp.issubdtype(array.dtype, jnp.floating):
            return jnp.asarray(array, dtype)
        return jnp.asarray(array, array.dtype)

    return jax.tree.map(fixed, state)


def _like(state: State, before: State) -> State:
    return jax.tree.map(lambda new, old: jnp.asarray(new, old.dtype), state, before)
