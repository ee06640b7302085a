"""Agents of one's own under damage, and files that are called like an agent that ships."""

import jax
import pytest

from discovery.cli import main
from envs import agents, registry
from envs import picture as view
from envs.agents import Agent, Measurement, Provenance


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Write an agent of one's own in the working directory, called like a shipped one."""
    monkeypatch.chdir(tmp_path)
    params = registry.task("hopper").policy.init(jax.random.key(0))
    measured = Measurement(1.0, 0.1, 100)
    about = Provenance("hopper", "spring", 1.0, 0, 1000, measured, settings={}, versions={})
    (tmp_path / "hopper").mkdir()
    agents.write(Agent(params, about), tmp_path / "hopper" / "900")
    return params


def test_a_damaged_agent_is_a_wrong_request(own, tmp_path, capsys):
    (tmp_path / "hopper" / "900.npz").write_bytes(b"")
    wanted = ("--task", "hopper", "--rows", "2", "--out", "d.npz")
    assert main(["data", "make", "--expert", "./hopper/900", *wanted]) == 2
    said = capsys.readouterr().err
    assert "900.npz is damaged" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "d.npz").exists()


def test_a_shipped_agent_is_viewed_unless_a_path_is_given(own, monkeypatch):
    seen = []
    monkeypatch.setattr(
        view, "write", lambda out, task, backend, agents, *_: seen.extend(agents.values())
    )
    for name in ("hopper/900", "./hopper/900"):
        assert main(["agents", "view", name, "--out", "x.png"]) == 0
    shipped, mine = (params.kernels[0] for params in seen)
    assert (shipped == agents.load("hopper/900").params.kernels[0]).all()
    assert (mine == own.kernels[0]).all()
