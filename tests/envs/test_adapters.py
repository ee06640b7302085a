"""Other people's environments as tasks: what they earn, where they end, and what is refused."""

import sys
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.adapters import Actions, Adapted, BraxTask, GymnaxTask, PlaygroundTask
from envs.data import check_fit, from_arrays, generate
from envs.data.segments import from_trajectories
from envs.data.trajectories import Episode, Trajectories
from envs.foreign import foreign
from mpo.errors import RequestError
from mpo.policies import CategoricalPolicy, GaussianPolicy
from mpo.settings import count
from mpo.train.logprob import log_probs
from mpo.train.source import Batch


class Space(types.SimpleNamespace):
    """What gymnax says of actions."""


@dataclass(frozen=True)
class Walk:
    """A walk on a line, as gymnax would have it: it earns its place, and ends beyond three."""

    discrete: bool

    def action_space(self, params):
        if self.discrete:
            return Space(n=2)
        return Space(shape=(1,), low=np.array([-1.0]), high=np.array([1.0]))

    def reset(self, key, params):
        place = jax.random.uniform(key, (), minval=-1.0, maxval=1.0)
        return self.seen(place), {"place": place, "time": 0}

    def step_env(self, key, state, action, params):
        by = jnp.where(action == 1, 1.0, -1.0) if self.discrete else action[0]
        place = state["place"] + by + params * jax.random.normal(key)
        after = {"place": place, "time": state["time"] + 1}
        return self.seen(place), after, place, jnp.abs(place) > 3, {}

    def seen(self, place):
        return jnp.stack([place, 1.0 - place])[None]  # a matrix: it is seen as a vector


@dataclass(frozen=True)
class OnALine(GymnaxTask):
    """Walk on a line."""

    discrete: bool = True
    noise: float = 0.0
    horizon: int = count(12)
    name: ClassVar = "on_a_line"

    def made(self) -> tuple[Any, Any]:
        return Walk(self.discrete), self.noise


def responses(task, number=6):
    params = task.policy.init(jax.random.key(1))
    keys = jax.random.split(jax.random.key(2), number)
    respond = jax.vmap(lambda key: task.respond(params, task.start(key), key))
    score = jax.vmap(lambda key: task.score(params, task.start(key), key))
    return params, jax.jit(respond)(keys), jax.jit(score)(keys)


@pytest.mark.parametrize("discrete", [True, False])
@pytest.mark.parametrize("noise", [0.0, pytest.param(0.3, marks=pytest.mark.sweep)])
def test_an_environment_like_gymnaxs_earns_what_it_should(discrete, noise):
    task = OnALine(discrete=discrete, noise=noise)
    assert isinstance(task.policy, CategoricalPolicy if discrete else GaussianPolicy)
    assert task.policy.observation_size == 2
    _, made, scored = responses(task)
    np.testing.assert_allclose(scored, made.total, rtol=1e-5)
    for seen, done, paid, mask in zip(
        *map(np.asarray, (made.inputs, made.outputs, made.reward, made.mask)), strict=True
    ):
        length = int(mask.sum())
        assert not any(values[length:].any() for values in (seen, done, paid))
        assert np.all(np.abs(paid[: length - 1]) <= 3)
        assert length == task.horizon or abs(paid[length - 1]) > 3
        np.testing.assert_allclose(seen[1:length, 0], paid[: length - 1], rtol=1e-6)
        by = np.diff(np.append(seen[:length, 0], paid[length - 1]))
        acts = np.where(done == 1, 1.0, -1.0) if discrete else np.clip(done[:, 0], -1, 1)
        if noise == 0.0:
            np.testing.assert_allclose(by, acts[:length], atol=1e-5)
        else:
            assert np.std(by - acts[:length]) > 0.01


@pytest.mark.sweep
def test_one_start_is_one_luck():
    task = OnALine(noise=0.5)
    params = task.policy.init(jax.random.key(0))
    start = task.start(jax.random.key(7))
    made = [task.respond(params, start, jax.random.key(3)) for _ in range(2)]
    np.testing.assert_array_equal(made[0].reward, made[1].reward)
    other = task.respond(params, task.start(jax.random.key(8)), jax.random.key(3))
    assert not np.array_equal(made[0].inputs[0], other.inputs[0])


def test_discrete_actions_have_the_probabilities_they_are_drawn_with():
    task = OnALine()
    params, made, _ = responses(task, 4)
    rows = jax.tree.map(lambda leaf: leaf.reshape(2, 2, *leaf.shape[1:]), made)
    batch = Batch(rows.inputs, rows.outputs, rows.mask, None, None)
    whole = log_probs(task.policy, params, batch)
    steps = task.policy.log_prob(params, made.inputs, made.outputs)
    np.testing.assert_allclose(
        whole.reshape(-1), jnp.sum(jnp.where(made.mask, steps, 0.0), -1), rtol=1e-5
    )
    drawn = jax.vmap(lambda key: task.policy.sample(params, key, made.inputs[0, 0]))(
        jax.random.split(jax.random.key(0), 4000)
    )
    expected = np.exp(task.policy.log_prob(params, made.inputs[0, 0], jnp.int32(1)))
    assert abs(float(np.mean(drawn)) - expected) < 0.03


@dataclass(frozen=True)
class Grid(Walk):
    """A walk whose action is a matrix, of which one entry counts."""

    def action_space(self, params):
        return Space(shape=(2, 3), low=-np.ones((2, 3)), high=np.ones((2, 3)))

    def step_env(self, key, state, action, params):
        return super().step_env(key, state, action[1, :1], params)


def test_actions_have_the_shape_that_an_environment_asks_for():
    @dataclass(frozen=True)
    class OnAGrid(OnALine):
        def made(self) -> tuple[Any, Any]:
            return Grid(discrete=False), 0.0

    task = OnAGrid()
    assert task.policy.action_size == 6
    start = task.start(jax.random.key(0))
    before = task.begin(start)
    after = task.advance(before, jnp.array([0.0, 0.0, 0.0, 0.5, 0.0, 9.0]))
    np.testing.assert_allclose(after.state.seen[0], before.seen[0] + 0.5, rtol=1e-6)


@pytest.mark.parametrize("action", [-1, 2])
def test_data_with_an_action_that_there_is_not_are_refused(action):
    task = OnALine()

    def episodes(done):
        seen, paid = np.zeros((4, 2), np.float32), np.ones(4)
        recorded = [Episode("one", seen, np.array(done), paid + n, True) for n in range(2)]
        return Trajectories(Path("it"), "these", lambda clock: iter(recorded))

    dataset = from_trajectories(episodes([0, 1, 1, 0]), task)
    check_fit(dataset, task, "it")
    with pytest.raises(RequestError, match=f"actions have {action}: task 'on_a_line' has 0 to 1"):
        from_trajectories(episodes([0, action, 1, 0]), task)
    if action > 0:
        wrong = from_arrays(dataset.inputs, np.asarray(dataset.outputs) * action)
        with pytest.raises(RequestError, match="it has the action 2, and the task actions below 2"):
            check_fit(wrong, task, "it")


@pytest.mark.sweep
def test_data_of_it_can_be_laid_out():
    task = OnALine()
    params = task.policy.init(jax.random.key(0))
    shapes = jax.eval_shape(
        lambda key: generate._respond(
            task,
            jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), params),
            jnp.zeros((3, 2), jnp.int32),
            jax.random.split(key, 3),
        ),
        jax.random.key(0),
    )
    assert shapes["outputs"].shape == (3, 2, 12)
    assert shapes["start.0"].shape == (3, 2)


@dataclass(frozen=True)
class Pole(BraxTask):
    """Balance a pole on a cart."""

    env: str = "inverted_pendulum"
    backend: str = "spring"
    horizon: int = count(8)
    name: ClassVar = "brax_pole"


@pytest.mark.slow
def test_an_environment_of_brax_is_stepped_as_brax_steps_it():
    task = Pole()
    start = task.start(jax.random.key(0))
    actions = np.linspace(-1.5, 1.5, 5, dtype=np.float32)[:, None]
    with foreign():
        from brax import envs as brax_envs

        theirs = brax_envs.get_environment("inverted_pendulum", backend="spring")
        step = jax.jit(theirs.step)
        state = jax.jit(theirs.reset)(jax.random.key(0))
    place = jax.jit(task.begin)(start)
    advance = jax.jit(task.advance)
    for action in actions:
        np.testing.assert_allclose(task.observe(place), state.obs, rtol=1e-5, atol=1e-6)
        with foreign():
            state = step(state, jnp.clip(action, -1.0, 1.0))
        place, reward, healthy = advance(place, action)
        np.testing.assert_allclose(reward, state.reward, rtol=1e-5)
        assert bool(healthy) == (float(state.done) < 0.5)
    assert task.policy == GaussianPolicy(observation_size=4, action_size=1)


@dataclass(frozen=True)
class State:
    """A state as Playground has it."""

    obs: Any
    reward: Any
    done: Any


jax.tree_util.register_dataclass(State, ["obs", "reward", "done"], [])


class Counting:
    """Counts the steps, is paid infinitely for the third, and sees two things."""

    action_size = 2

    def reset(self, key):
        seen = {"state": jnp.zeros(3), "privileged_state": jnp.zeros(9)}
        return State(seen, jnp.zeros(()), jnp.zeros(()))

    def step(self, state, action):
        seen = jax.tree.map(lambda leaf: leaf + 1.0, state.obs)
        reward = jnp.where(seen["state"][0] == 3, jnp.inf, 1.0)
        return State(seen, reward, jnp.zeros(()))


@dataclass(frozen=True)
class Balance(PlaygroundTask):
    """Counts."""

    env: str = "Counting"
    horizon: int = count(6)
    name: ClassVar = "balance"


@dataclass(frozen=True)
class Cart(GymnaxTask):
    """Balance a pole by pushes."""

    env: str = "CartPole-v1"
    name: ClassVar = "cart"


@pytest.fixture
def playground(monkeypatch):
    """Return what was asked of a module that is like Playground."""
    asked: dict[str, Any] = {}

    def load(name, config_overrides):
        asked[name] = config_overrides
        return Counting()

    registry = types.SimpleNamespace(
        ALL_ENVS=("Counting", "HopperHop"), load=load, get_default_config=lambda name: {"impl": "w"}
    )
    module = types.ModuleType("mujoco_playground")
    module.registry = registry
    monkeypatch.setitem(sys.modules, "mujoco_playground", module)
    return asked


def test_an_environment_of_playground_is_seen_by_its_state_and_ends_where_it_diverges(playground):
    task = Balance()
    assert playground == {"Counting": {"impl": "jax"}}
    assert task.policy == GaussianPolicy(observation_size=3, action_size=2)
    _, made, scored = responses(task, 2)
    assert made.mask[0].tolist() == [True] * 3 + [False] * 3
    assert scored.tolist() == [2.0, 2.0]
    with pytest.raises(RequestError, match="unknown Playground environment 'HoperHop': did you"):
        Balance(env="HoperHop")


@pytest.mark.parametrize(("kind", "module"), [(Cart, "gymnax"), (Balance, "mujoco")])
def test_what_is_not_installed_or_not_known_is_said(monkeypatch, kind, module):
    name = "mujoco_playground" if module == "mujoco" else module
    monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(RequestError, match=f"task '.*' needs the module '{name}'"):
        kind(env="X", horizon=9)


def test_environments_that_there_are_not_are_refused():
    with pytest.raises(RequestError, match="unknown brax environment 'hoper'"):
        Pole(env="hoper")
    with pytest.raises(RequestError, match="horizon"):
        OnALine(horizon=0)


@dataclass(frozen=True)
class Nothing(Adapted):
    """Nothing can be done."""

    horizon: int = 3
    spare: tuple[int, ...] = field(default=())
    name: ClassVar = "nothing"

    def world(self):
        reset = lambda key: (jnp.zeros(2), ())  # noqa: E731
        return types.SimpleNamespace(reset=reset, step=reset, action_space=Actions())


def test_an_environment_without_actions_is_refused():
    with pytest.raises(RequestError, match="task 'nothing': there is nothing to be done"):
        Nothing()
