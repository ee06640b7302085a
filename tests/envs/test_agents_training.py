"""Training to levels of skill: the nearest snapshots are kept; a folder is of one request."""

import contextlib
import dataclasses
import json
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs import agents, ppo, registry
from envs.agents import training
from envs.base import Defaults, Response, Task
from envs.ppo import Settings
from mpo.errors import RequestError
from mpo.log import JsonLog
from mpo.policies import GaussianPolicy
from tests.refusals import Meant, refusal

SETTINGS = Settings(
    steps=20_000, envs=64, unroll=5, epochs=4, minibatches=4, discount=0.5, learning_rate=1e-2
)


@dataclasses.dataclass(frozen=True)
class Mark(Task):
    """Ten steps, each paid 1 − (a − ½)²: a task that PPO masters in seconds."""

    backend: str = "spring"
    horizon: int = 10

    name: ClassVar = "mark"
    defaults: ClassVar = Defaults(ppo=dataclasses.asdict(SETTINGS))

    @property
    def policy(self):
        return GaussianPolicy(observation_size=1, action_size=1, hidden=(8,), initial_log_std=-1.0)

    def initial(self, key):
        return self.policy.init(key)

    def start(self, key):
        return jax.random.uniform(key, (1,))

    def begin(self, start):
        return start

    def observe(self, state):
        return state

    def advance(self, state, action):
        return state, 1.0 - jnp.sum(jnp.square(action - 0.5)), jnp.ones((), bool)

    def respond(self, params, start, key):
        actions = self.policy.sample(params, key, jnp.tile(start, (self.horizon, 1)))
        reward = 1.0 - jnp.square(actions[:, 0] - 0.5)
        return Response(actions, actions, reward, jnp.ones(self.horizon, bool))

    def score(self, params, start, key):
        return self.respond(params, start, key).total


@pytest.fixture(autouse=True)
def _mark(monkeypatch):
    """Put the task in the registry, for as long as a test."""
    monkeypatch.setitem(registry.TASKS, "mark", registry.Entry(Mark, "a mark to be hit"))
    monkeypatch.setattr(training, "BETWEEN", 1000)


def request(folder, *targets, **changes):
    return training.Request(
        **{"task": "mark", "targets": targets, "folder": folder, "settings": SETTINGS, **changes}
    )


@pytest.mark.sweep
def test_the_nearest_snapshot_to_each_level_is_kept(tmp_path):
    outcome = training.train(request(tmp_path, 8.0, 9.0))
    assert outcome.missed == ()
    log = ppo.read_log(tmp_path)
    confirmed = [line for line in log if line["confirmed"]]
    assert confirmed[-1] == log[-1]
    assert max(line["return"] for line in confirmed[:-1]) < 9.0 <= log[-1]["return"]
    for target in (8.0, 9.0):
        agent = agents.read(tmp_path / f"mark-{target:g}")
        nearest = min(confirmed, key=lambda line: abs(line["return"] - target))
        assert agent.provenance.steps == nearest["steps"]
        assert agent.provenance.measured == outcome.agents[target].measured
        assert agent.provenance.measured.episodes == 128
        assert abs(agent.provenance.measured.mean - nearest["return"]) < 0.5


def test_a_level_out_of_reach_is_reported_and_its_nearest_kept(tmp_path):
    outcome = training.train(request(tmp_path, 11.0))
    assert outcome.missed == (11.0,)
    assert outcome.best < 10
    assert agents.read(tmp_path / "mark-11").provenance.target == 11.0


def test_the_same_request_continues_to_the_same_agents(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    expected = training.train(request(whole, 8.0, 9.0))

    def interrupt(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.train(request(parts, 8.0, 9.0), interrupt)
    assert training.train(request(parts, 8.0, 9.0)).agents == expected.agents
    for name in ("mark-8.npz", "mark-9.npz"):
        assert (whole / name).read_bytes() == (parts / name).read_bytes()
    # Once finished it is only read.
    assert training.train(request(parts, 8.0, 9.0), interrupt).agents == expected.agents


@pytest.mark.sweep
def test_a_visit_killed_before_its_checkpoint_is_repeated_as_it_was(tmp_path, monkeypatch):
    """Though the look, of few episodes, would not find the agent that it kept again."""
    measure = training.measure

    def unlucky(task, params, key, episodes):
        seen = measure(task, params, key, episodes)
        look = episodes == training.LOOK
        return dataclasses.replace(seen, mean=seen.mean - 3.0) if look else seen

    monkeypatch.setattr(training, "measure", unlucky)
    whole, parts = request(tmp_path / "whole", 8.0, 9.0), request(tmp_path / "parts", 8.0, 9.0)
    expected = training.train(whole)
    add, seen = JsonLog.add, []

    def killed(log, line):
        if line["iteration"] not in seen:
            seen.append(line["iteration"])
            raise KeyboardInterrupt
        add(log, line)

    monkeypatch.setattr(JsonLog, "add", killed)
    outcome = None
    while outcome is None:
        with contextlib.suppress(KeyboardInterrupt):
            outcome = training.train(parts)
    assert outcome == expected
    assert seen == [line["iteration"] for line in ppo.read_log(whole.folder)]
    for name in ("mark-8.npz", "mark-9.npz"):
        assert (whole.folder / name).read_bytes() == (parts.folder / name).read_bytes()
    for one, other in zip(*map(ppo.read_log, (whole.folder, parts.folder)), strict=True):
        for told in ("return", "standard_error", "confirmed", "enough"):
            assert one[told] == other[told]


def test_a_folder_belongs_to_one_request(tmp_path):
    training.train(request(tmp_path, 8.0))
    with pytest.raises(RequestError, match=r"another training \(seed: 1, was 0; targets"):
        training.train(request(tmp_path, 9.0, seed=1))
    assert json.loads((tmp_path / "config.json").read_text())["seed"] == 0


def test_it_can_start_from_a_given_agent(tmp_path, monkeypatch):
    skilled = GaussianPolicy(1, 1, (8,), -3.0).init(jax.random.key(0))
    skilled = dataclasses.replace(
        skilled, biases=(skilled.biases[0], jnp.full_like(skilled.biases[1], 0.5))
    )

    class Loaded:
        params = skilled

    monkeypatch.setattr(training.catalogue, "load", {"mark/9": Loaded}.get)
    training.train(request(tmp_path, 9.0, start_from="mark/9"))
    first = ppo.read_log(tmp_path)[0]
    assert first["return"] > 9.5
    assert np.isclose(first["log_std"], -3.0, atol=0.5)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"task": "hoper"}, Meant("hopper")),
        ({"task": "reach"}, "task 'reach' has no settings of PPO"),
        ({"targets": ()}, "at least one --target-return"),
        ({"episodes": 1}, "≥ 2, not 1"),
        ({"seed": -1}, "not -1"),
        ({"seed": 2**40}, "not 1099511627776"),
    ],
)
def test_a_wrong_request_writes_nothing(wrong, words, tmp_path):
    folder = tmp_path / "out"
    with refusal(words):
        training.train(request(folder, 8.0, **wrong))
    assert not folder.exists()


@pytest.mark.parametrize("folder", ["file", "file/deeper", "x" * 300])
def test_an_unwritable_folder_is_a_wrong_request(folder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match="; choose a place"):
        training.train(request(tmp_path / folder, 8.0))
