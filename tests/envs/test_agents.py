"""Shipped agents are whole and as good as they say; damaged files say what is wrong with them."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs import agents
from envs.agents import Agent, DamagedAgent, Measurement, Provenance, catalogue
from mpo import treefile
from mpo.policies import GaussianPolicy
from tests.refusals import Meant, refusal

HOPPER = GaussianPolicy(observation_size=11, action_size=3)
LEVELS = {"hopper/900": 900, "hopper/1200": 1200, "hopper/1800": 1800, "hopper/2100": 2100}


def an_agent(**changes):
    provenance = Provenance(
        task="hopper",
        backend="spring",
        target=900.0,
        seed=3,
        steps=1000,
        measured=Measurement(901.5, 3.25, 128),
        settings={"discount": 0.997},
        versions={"jax": jax.__version__},
        elsewhere={"ant": Measurement(-1.0, 0.5, 100)},
    )
    return Agent(HOPPER.init(jax.random.key(0)), dataclasses.replace(provenance, **changes))


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "hopper-900"
    agents.write(an_agent(), path)
    return path


def test_an_agent_is_read_as_it_was_written(written):
    read, expected = agents.read(written), an_agent()
    assert read.provenance == expected.provenance
    for a, b in zip(jax.tree.leaves(read.params), jax.tree.leaves(expected.params), strict=True):
        np.testing.assert_array_equal(a, b)
    assert isinstance(read.params, type(expected.params))


def test_an_agent_in_half_precision_is_rounded_once_and_takes_half_the_room(written):
    whole = written.with_name("hopper-900.npz").stat().st_size
    agents.write(an_agent(), written, "float16")
    assert written.with_name("hopper-900.npz").stat().st_size < 0.6 * whole
    read = agents.read(written)
    for a, b in zip(jax.tree.leaves(read.params), jax.tree.leaves(an_agent().params), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b.astype("float16").astype(b.dtype))
    agents.write(read, written, "float16")
    again = jax.tree.leaves(agents.read(written).params)
    assert all(map(np.array_equal, again, jax.tree.leaves(read.params)))


def flip_a_byte(path):
    file = path.with_name(path.name + ".npz")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def cut(path):
    file = path.with_name(path.name + ".npz")
    file.write_bytes(file.read_bytes()[:-100])


def edit(path, **changes):
    file = path.with_name(path.name + ".json")
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def put(path, params):
    """Write other parameters with a checksum that is right."""
    agents.write(dataclasses.replace(an_agent(), params=params), path)


def with_nan(params):
    return dataclasses.replace(params, log_std=params.log_std * jnp.nan)


FAULTS = {
    "a flipped byte": (flip_a_byte, r"hopper-900\.npz is damaged: its checksum"),
    "cut short": (cut, r"hopper-900\.npz is damaged: its checksum"),
    "no parameters": (lambda p: p.with_name(p.name + ".npz").unlink(), r"\.npz is missing"),
    "no provenance": (lambda p: p.with_name(p.name + ".json").unlink(), r"\.json is missing"),
    "no JSON": (lambda p: p.with_name(p.name + ".json").write_text("{"), r"\.json is damaged"),
    "of no such precision": (lambda p: edit(p, precision="float7"), r"\.json is damaged.*float7"),
    "of another precision": (lambda p: edit(p, precision="float16"), r"expected float16"),
    "a later version": (lambda p: edit(p, schema=99), r"schema 99, this version reads 1"),
    "an unknown field": (lambda p: edit(p, colour="red"), r"\.json is damaged.*colour"),
    "of another size": (
        lambda p: put(p, GaussianPolicy(12, 3).init(jax.random.key(0))),
        r"no policy of hopper: .* float32\[12, 64\], expected float32\[11, 64\]",
    ),
    "of another depth": (
        lambda p: put(p, GaussianPolicy(11, 3, (64,)).init(jax.random.key(0))),
        r"no policy of hopper: .* expected: see biases\.2, kernels\.2",
    ),
    "not finite": (lambda p: put(p, with_nan(HOPPER.init(jax.random.key(0)))), "not finite"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_agent_says_what_is_wrong(fault, written):
    damage, words = FAULTS[fault]
    damage(written)
    with pytest.raises(DamagedAgent, match=words):
        agents.read(written)


def test_an_interrupted_write_leaves_the_old_file(written, monkeypatch):
    monkeypatch.setattr(treefile.os, "fsync", lambda _: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        agents.write(an_agent(seed=4), written)
    monkeypatch.undo()
    assert agents.read(written).provenance.seed == 3
    assert sorted(p.name for p in written.parent.iterdir()) == ["hopper-900.json", "hopper-900.npz"]


# ---------------------------------------------------------------- those that ship


@pytest.mark.parametrize("name", agents.names())
def test_every_shipped_agent_loads(name):
    agent = agents.load(name)
    about = agent.provenance
    assert about.task in envs.tasks()
    assert about.measured.episodes >= 100
    physics = about.task != "language"
    assert about.backend == ("spring" if physics else "none")
    assert set(about.versions) >= ({"jax", "brax"} if physics else {"jax", "flax"})
    fresh = jax.eval_shape(envs.task(about.task).policy.init, jax.random.key(0))
    for (path, leaf), (place, like) in zip(
        treefile.named(agent.params), treefile.named(fresh), strict=True
    ):
        assert (path, leaf.shape, leaf.dtype) == (place, like.shape, like.dtype)


def test_an_agent_can_be_read_while_something_is_traced():
    loaded = jax.jit(lambda: agents.load("three_legged_ant/unadapted").params)()
    jax.tree.map(np.testing.assert_array_equal, loaded, agents.load("ant/6000").params)


@pytest.mark.parametrize(("name", "level"), LEVELS.items())
def test_hopper_levels_are_those_of_the_paper(name, level):
    assert abs(agents.provenance(name).measured.mean - level) < 0.08 * level


def test_the_ant_loses_most_of_its_return_on_three_legs():
    ant = agents.provenance("ant/expert")
    there = ant.elsewhere["three_legged_ant"]
    assert ant.measured.mean > 5500
    assert abs(there.mean - 1700) < 200
    assert agents.provenance("three_legged_ant/expert").measured.mean > 2 * there.mean


def test_experts_are_the_best_of_their_task():
    for task in ("hopper", "ant", "three_legged_ant"):
        listed = [p for p in agents.listing().values() if p.task == task]
        best = max(p.measured.mean for p in listed)
        assert agents.provenance(f"{task}/expert").measured.mean == best


def test_all_that_ships_is_small_and_known():
    files = list(catalogue._folder().glob("*.[jn]*"))
    assert sum(f.stat().st_size for f in files) < 2_000_000
    assert len(files) == 2 * len(agents.listing())


def test_the_three_legged_task_starts_from_the_ant_expert():
    task = envs.task("three_legged_ant")
    expected = agents.load("ant/expert").params
    np.testing.assert_array_equal(task.initial(jax.random.key(0)).kernels[0], expected.kernels[0])
    assert "unadapted" in task.agents()


def test_an_unknown_agent_is_a_wrong_request():
    with refusal(Meant("hopper/expert")):
        agents.load("hopper/exprt")


@pytest.mark.slow
def test_a_shipped_agent_earns_what_it_says():
    about = agents.provenance("hopper/expert")
    params = agents.load("hopper/expert").params
    again = agents.measure(envs.task("hopper"), params, jax.random.key(77), 64)
    spread = np.hypot(again.standard_error, about.measured.standard_error)
    assert abs(again.mean - about.measured.mean) < 4 * spread


def test_a_measurement_is_mean_and_standard_error():
    task = envs.task("reach", horizon=3)
    params = task.agent("novice")
    found = agents.measure(task, params, jax.random.key(0), 50)
    few = agents.measure(task, params, jax.random.key(0), 2)
    assert found.episodes == 50
    assert 0 < found.mean < 3
    assert 0 < found.standard_error < few.standard_error * 5
