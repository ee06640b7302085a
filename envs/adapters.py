"""Environments of brax, MuJoCo Playground and gymnax as tasks: name one, and it can be trained on.

    @envs.register_task
    @dataclass(frozen=True)
    class Pole(BraxTask):
        '''Balance a pole on a cart.'''

        env: str = "inverted_pendulum"
        horizon: int = count(200)
        name: ClassVar = "pole"

One of your own comes in by `world`: whatever has `reset` and `step`. A response's start is the key
of its environment, so that what is compared met the same luck.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num, PRNGKeyArray, UInt
from typing_extensions import override

from envs.base import Defaults
from envs.foreign import foreign
from envs.stepping import Outcome, SteppedTask
from mpo.errors import RequestError, unknown
from mpo.modules import extra
from mpo.policies import CategoricalPolicy, GaussianPolicy
from mpo.settings import count


@runtime_checkable
class World(Protocol):
    """What an adapter asks of an environment; one at a time, pure functions in JAX."""

    def reset(self, key: PRNGKeyArray) -> tuple[Any, Any]:
        """Return what is seen at first, and the state."""
        ...

    def step(self, key: PRNGKeyArray, state: Any, action: Array) -> tuple[Any, Any, Any, Any]:
        """Act once: what is seen, the state, the reward, and whether it is over."""
        ...

    @property
    def action_space(self) -> "Actions":
        """What can be done."""
        ...


class Actions(NamedTuple):
    """What can be done: one of `choices`, numbered; or `size` numbers from `low` to `high`.

    Numbers beyond are cut off by the adapter; a response has them as they were drawn.
    """

    choices: int = 0
    size: int = 0
    low: Any = -1.0
    high: Any = 1.0


class Place(NamedTuple):
    """Where an environment is: its key, what is seen, and its own state."""

    key: UInt[Array, "*key"]
    seen: Float[Array, " obs"]
    state: Any


class Adapted(SteppedTask):
    """A task of somebody else's environment; a frozen dataclass with a `horizon`.

    The episode is over where the environment says so, or where a reward or what is seen is no
    number; that step then pays nothing.
    """

    defaults: ClassVar[Defaults] = Defaults(ppo={})

    def __post_init__(self) -> None:
        """Refuse settings out of range, and make the environment while nothing is being traced."""
        super().__post_init__()
        _sizes(self)

    @abstractmethod
    def world(self) -> World:
        """Make the environment; asked once for each task and settings."""

    @property
    @override
    def policy(self) -> GaussianPolicy | CategoricalPolicy:
        seen, actions = _sizes(self)
        if actions.choices:
            return CategoricalPolicy(seen, actions.choices)
        return GaussianPolicy(seen, actions.size)

    @override
    def start(self, key: PRNGKeyArray) -> UInt[Array, "*key"]:
        return jax.random.key_data(key)

    @override
    def begin(self, start: UInt[Array, "*key"]) -> Place:
        with foreign():
            seen, state = _world(self).reset(jax.random.wrap_key_data(start))
            return Place(start, _flat(seen), jax.tree.map(_plain, state))

    @override
    def observe(self, state: Place) -> Float[Array, " obs"]:
        return state.seen

    @override
    def advance(self, state: Place, action: Num[Array, "*act"]) -> Outcome:
        actions = _sizes(self)[1]
        key, now = jax.random.split(jax.random.wrap_key_data(state.key))
        with foreign():
            if not actions.choices:
                action = jnp.clip(action, jnp.asarray(actions.low), jnp.asarray(actions.high))
            seen, inner, reward, over = _world(self).step(now, state.state, action)
            after = jax.tree.map(lambda new, old: jnp.asarray(new, old.dtype), inner, state.state)
            paid, flat = jnp.asarray(reward, jnp.float32).reshape(()), _flat(seen)
            finite = jnp.isfinite(paid) & jnp.all(jnp.isfinite(flat))
            healthy = finite & ~jnp.asarray(over, bool).reshape(())
        place = Place(jax.random.key_data(key), jnp.where(finite, flat, 0.0), after)
        return Outcome(place, jnp.where(finite, paid, 0.0), healthy)


@lru_cache(maxsize=32)
def _world(task: Adapted) -> World:
    with foreign(), jax.ensure_compile_time_eval():
        return task.world()


@lru_cache(maxsize=32)
def _sizes(task: Adapted) -> tuple[int, Actions]:
    """Return the entries of an observation, and what can be done; nothing is simulated."""
    world = _world(task)
    with foreign():
        seen = jax.eval_shape(lambda key: _flat(world.reset(key)[0]), jax.random.key(0))
        actions = world.action_space
    if not actions.choices and not actions.size:
        raise RequestError(f"{task.called()}: there is nothing to be done in its environment")
    return int(seen.shape[0]), actions


def _flat(seen: Any) -> Float[Array, " obs"]:
    """Return what is seen as a vector; of several things that called "state", as Playground has."""
    if isinstance(seen, dict):
        if "state" not in seen:
            raise RequestError(
                f"what is seen is {', '.join(seen)}: have `world` choose one of them"
            )
        seen = seen["state"]
    return jnp.ravel(jnp.asarray(seen)).astype(jnp.float32)


def _plain(leaf: Any) -> Array:
    """Return an array whose dtype stays what it is."""
    found = jnp.asarray(leaf)
    return jax.lax.convert_element_type(found, found.dtype)


@dataclass(frozen=True)
class _Brax:
    """An environment as brax and Playground have them: a state holds all that is said of it."""

    env: Any

    @property
    def action_space(self) -> Actions:
        return Actions(size=int(self.env.action_size))

    def reset(self, key: PRNGKeyArray) -> tuple[Any, Any]:
        state = self.env.reset(key)
        return state.obs, state

    def step(self, key: PRNGKeyArray, state: Any, action: Array) -> tuple[Any, Any, Any, Any]:
        after = self.env.step(state, action)
        return after.obs, after, after.reward, after.done > 0.5


@dataclass(frozen=True)
class BraxTask(Adapted):
    """An environment of brax.

    Attributes:
      env: its name, such as "inverted_pendulum".
      backend: the physics: "generalized", "mjx", "positional" or "spring".
      horizon: steps of a response that does not end by itself.
    """

    env: str = ""
    backend: str = "generalized"
    horizon: int = count(1000)

    @override
    def world(self) -> World:
        from brax import envs as known

        make = _named(self.env, "brax environment", tuple(known._envs), known.get_environment)
        return _Brax(make(self.env, backend=self.backend))


@dataclass(frozen=True)
class PlaygroundTask(Adapted):
    """An environment of MuJoCo Playground (`pip install playground`).

    Attributes:
      env: its name, such as "CartpoleBalance".
      physics: what simulates where a version gives the choice: "jax", or "warp" for a GPU.
      horizon: steps of a response that does not end by itself.
    """

    env: str = ""
    physics: str = "jax"
    horizon: int = count(1000)

    @override
    def world(self) -> World:
        with foreign():
            known = extra("mujoco_playground", "playground", self.called()).registry
        make = _named(self.env, "Playground environment", tuple(known.ALL_ENVS), known.load)
        choice = {"impl": self.physics} if "impl" in known.get_default_config(self.env) else None
        return _Brax(make(self.env, config_overrides=choice))


@dataclass(frozen=True)
class _Gymnax:
    """An environment as gymnax has them, with its parameters."""

    env: Any
    params: Any

    @property
    def action_space(self) -> Actions:
        space = self.env.action_space(self.params)
        if hasattr(space, "n"):
            return Actions(choices=int(space.n))
        size = 1
        for length in space.shape:
            size *= length
        return Actions(0, size, jnp.ravel(space.low), jnp.ravel(space.high))

    def reset(self, key: PRNGKeyArray) -> tuple[Any, Any]:
        return self.env.reset(key, self.params)

    def step(self, key: PRNGKeyArray, state: Any, action: Array) -> tuple[Any, Any, Any, Any]:
        if not self.action_space.choices:
            action = jnp.reshape(action, self.env.action_space(self.params).shape)
        # Not `step`, which begins anew where an episode is over.
        seen, after, reward, over, _ = self.env.step_env(key, state, action, self.params)
        return seen, after, reward, over


@dataclass(frozen=True)
class GymnaxTask(Adapted):
    """An environment of gymnax (`pip install gymnax`), or one that is made alike.

    Attributes:
      env: its name, such as "CartPole-v1".
      horizon: steps of a response that does not end by itself.
    """

    env: str = ""
    horizon: int = count(200)

    def made(self) -> tuple[Any, Any]:
        """Return the environment and its parameters; of one of your own, override this."""
        with foreign():
            gymnax = extra("gymnax", "gymnax", self.called())
        known = tuple(gymnax.registered_envs)
        return _named(self.env, "gymnax environment", known, gymnax.make)(self.env)

    @override
    def world(self) -> World:
        return _Gymnax(*self.made())


def _named(
    name: str, what: str, known: tuple[str, ...], make: Callable[..., Any]
) -> Callable[..., Any]:
    if name not in known:
        raise unknown(what, name, known)
    return make
