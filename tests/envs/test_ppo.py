"""PPO on environments whose answer is known; the same numbers, interrupted or not."""

import dataclasses
import json
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.ppo import PPO, Settings, advantages, read_log, train
from envs.ppo import learner as moments
from mpo import treefile
from mpo.errors import RequestError
from mpo.policies import GaussianPolicy

SMALL = Settings(
    steps=32 * 8 * 40, envs=32, unroll=8, epochs=4, minibatches=4, discount=0.9, learning_rate=3e-3
)


KEY = jax.random.key(0)
TRACES: list[object] = []
"""Grows whenever a probe is traced."""


class Place(NamedTuple):
    x: jax.Array


@dataclasses.dataclass(frozen=True)
class Probe:
    """Pays 1 − (a − x)² a step and draws x anew.

    `falls` ends every episode at once; `idle` pays 1 + x whatever the action.
    """

    horizon: int = 5
    falls: bool = False
    idle: bool = False

    @property
    def policy(self):
        return GaussianPolicy(observation_size=1, action_size=1, hidden=(16,))

    def start(self, key):
        return jax.random.uniform(key, (1,), minval=-1.0)

    def begin(self, start):
        return Place(start)

    def observe(self, state):
        return state.x

    def advance(self, state, action):
        TRACES.append(None)
        gain = state.x if self.idle else -jnp.square(action - state.x)
        reward = 1.0 + gain[0]
        following = jnp.sin(43.0 * state.x + 1.0)  # all over (-1, 1), and no key needed
        return Place(following), reward, jnp.asarray(not self.falls)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A whole training on the probe: its state, its folder, the traces seen after each chunk."""
    folder, traced = tmp_path_factory.mktemp("trained"), []

    def visit(_):
        traced.append(len(TRACES))
        return {"return": 0.0}

    return train(PPO(Probe(), SMALL), KEY, folder, visit=visit), folder, traced


@pytest.mark.sweep
def test_the_best_action_is_found(trained):
    state, folder, _ = trained
    x = jnp.linspace(-0.8, 0.8, 9)[:, None]
    np.testing.assert_allclose(Probe().policy.mean(state.policy, x), x, atol=0.15)
    first, *_, last = read_log(folder)
    assert first["training_return"] < 3.5 < 4.0 < last["training_return"]  # 5 is perfect
    assert last["log_std"] < first["log_std"]  # exactness pays


def test_chunks_are_compiled_once(trained):
    _, _, traced = trained
    assert len(traced) == 4
    assert set(traced) == {1}


@pytest.mark.parametrize(
    ("falls", "worth"), [(False, 10.0), pytest.param(True, 1.0, marks=pytest.mark.slow)]
)
def test_a_time_limit_keeps_the_future_and_a_fall_does_not(falls, worth, tmp_path):
    """Reward 1 on average is worth 1/(1−γ) = 10, clock or no clock; before a fall it is worth 1."""
    env = Probe(horizon=5, falls=falls, idle=True)
    ppo = PPO(env, dataclasses.replace(SMALL, steps=SMALL.batch * 80))
    state = train(ppo, jax.random.key(0), tmp_path)
    value = ppo._value(state.critic, state.policy, state.crowd.state.x)
    _, level = np.polyfit(np.ravel(state.crowd.state.x), np.ravel(value), 1)
    np.testing.assert_allclose(level * state.returns.std, worth, rtol=0.1)


def test_seeds_train_side_by_side():
    ppo = PPO(Probe(), SMALL)
    keys = jax.random.split(jax.random.key(1), 3)
    side_by_side = jax.jit(jax.vmap(lambda key: ppo.iterate(ppo.init(key))[0].policy))
    ahead, back = side_by_side(keys), side_by_side(keys[::-1])
    for a, b in zip(jax.tree.leaves(ahead), jax.tree.leaves(back), strict=True):
        np.testing.assert_array_equal(a, b[::-1])  # no seed knows of its neighbours
    assert len(np.unique(ahead.log_std)) == 3


# ---------------------------------------------------------------- the host's side


def same(a, b):
    return treefile.pack(a) == treefile.pack(b)


def stop_at(iteration):
    def visit(state):
        if int(state.iteration) == iteration:
            raise KeyboardInterrupt
        return {"return": 0.0}

    return visit


def test_interrupted_and_resumed_is_uninterrupted(trained, tmp_path):
    expected, whole, _ = trained
    ppo, key, parts = PPO(Probe(), SMALL), KEY, tmp_path
    for moment in (10, 30):  # the first before any checkpoint
        with pytest.raises(KeyboardInterrupt):
            train(ppo, key, parts, visit=stop_at(moment))
    assert len(read_log(parts)) == 2
    resumed = train(ppo, key, parts, visit=lambda _: {"return": 0.0})
    assert same(resumed, expected)
    timing = {"seconds", "steps_per_second"}
    plain = [
        [{k: v for k, v in line.items() if k not in timing} for line in read_log(folder)]
        for folder in (whole, parts)
    ]
    assert plain[0] == plain[1]
    assert [line["iteration"] for line in plain[0]] == [10, 20, 30, 40]


def test_a_line_without_its_checkpoint_is_logged_once(tmp_path):
    ppo, key = PPO(Probe(), SMALL), jax.random.key(3)
    with pytest.raises(KeyboardInterrupt):
        train(ppo, key, tmp_path, visit=stop_at(20))
    with (tmp_path / "metrics.jsonl").open("a") as log:
        log.write(json.dumps({"iteration": 20, "seconds": 1.0}) + "\n")
    train(ppo, key, tmp_path)
    assert [line["iteration"] for line in read_log(tmp_path)] == [10, 20, 30, 40]


@pytest.mark.parametrize("cut", ['{"iteration": 20, "sec', "7", "\udcff"])
def test_a_line_that_was_cut_off_is_dropped(cut, tmp_path):
    ppo, key = PPO(Probe(), SMALL), jax.random.key(3)
    with pytest.raises(KeyboardInterrupt):
        train(ppo, key, tmp_path, visit=stop_at(20))
    with (tmp_path / "metrics.jsonl").open("a", errors="surrogateescape") as log:
        log.write(cut)
    assert [line["iteration"] for line in read_log(tmp_path)] == [10]
    train(ppo, key, tmp_path)
    assert [line["iteration"] for line in read_log(tmp_path)] == [10, 20, 30, 40]


def test_a_finished_training_is_not_repeated(tmp_path):
    ppo, key = PPO(Probe(), SMALL), jax.random.key(0)
    done = train(ppo, key, tmp_path, visit=lambda _: {"enough": True})
    assert int(done.iteration) == 10
    again = train(ppo, key, tmp_path, visit=stop_at(20))
    assert same(done, again)


def test_a_damaged_checkpoint_says_so(tmp_path):
    ppo, key = PPO(Probe(), SMALL), jax.random.key(0)
    with pytest.raises(KeyboardInterrupt):
        train(ppo, key, tmp_path, visit=stop_at(20))
    checkpoint = tmp_path / "checkpoint.npz"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-200])
    with pytest.raises(RuntimeError, match=r"checkpoint\.npz.*damaged.*delete it"):
        train(ppo, key, tmp_path)


def test_a_checkpoint_of_other_settings_says_so(tmp_path):
    key = jax.random.key(0)
    with pytest.raises(KeyboardInterrupt):
        train(PPO(Probe(), SMALL), key, tmp_path, visit=stop_at(20))
    other = PPO(Probe(), dataclasses.replace(SMALL, envs=64))
    with pytest.raises(RuntimeError, match=r"crowd.* is float32\[32.*expected float32\[64"):
        train(other, key, tmp_path)


# ---------------------------------------------------------------- the parts


def plain_gae(reward, value, next_value, terminated, ended, discount, trace):
    total, result = np.zeros(reward.shape[1]), np.zeros(reward.shape)
    for t in reversed(range(len(reward))):
        for i in range(reward.shape[1]):
            future = 0.0 if terminated[t, i] else next_value[t, i]
            delta = reward[t, i] + discount * future - value[t, i]
            after = 0.0 if ended[t, i] else total[i]
            total[i] = delta + discount * trace * after
        result[t] = total
    return result


def test_advantages_are_those_of_a_plain_loop():
    rng = np.random.default_rng(0)
    reward, value, next_value = rng.normal(size=(3, 30, 4)).astype(np.float32)
    terminated = rng.random((30, 4)) < 0.1
    ended = terminated | (rng.random((30, 4)) < 0.1)
    assert (ended & ~terminated).any()
    assert terminated.any()
    names = ("reward", "value", "next_value", "terminated", "ended")
    given = dict(zip(names, (reward, value, next_value, terminated, ended), strict=True))
    found = advantages(**jax.tree.map(jnp.asarray, given), discount=0.97, trace=0.9)
    expected = plain_gae(reward, value, next_value, terminated, ended, 0.97, 0.9)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_moments_of_batches_are_those_of_all():
    batches = [
        np.random.default_rng(i).normal(3.0 + i, 2.0, (50 * (i + 1), 3)).astype(np.float32)
        for i in range(3)
    ]
    seen = moments.nothing((3,))
    for batch in batches:
        seen = moments.update(seen, jnp.asarray(batch))
    everything = np.concatenate(batches)
    np.testing.assert_allclose(seen.mean, everything.mean(0), rtol=1e-5)
    np.testing.assert_allclose(seen.std, everything.std(0), rtol=1e-5)
    assert seen.count == len(everything)


def test_what_never_varies_does_not_explode():
    seen = moments.update(moments.nothing((2,)), jnp.ones((10, 2)))
    assert (seen.std > 0).all()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"steps": 0}, "'steps' of PPO .* not 0"),
        ({"envs": -1}, "'envs' of PPO .* not -1"),
        ({"discount": 1.5}, "must be > 0 and ≤ 1, not 1.5"),
        ({"minibatches": 7}, "does not divide into 7"),
        ({"learning_rate": 0.0}, "learning_rate"),
    ],
)
def test_settings_that_cannot_train_are_refused(wrong, words):
    with pytest.raises(RequestError, match=words):
        Settings(**wrong)
