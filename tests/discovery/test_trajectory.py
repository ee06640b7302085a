"""Trajectories: the training that is recorded is the training there is."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mpo
from discovery import config
from discovery.evidence import trajectory
from discovery.host.processes import all_devices
from discovery.search import situation
from discovery.search.cohort import Cohort
from discovery.search.streams import Purpose
from mpo.errors import RequestError
from mpo.train import snapshots, stacked, train, updates_before
from tests.discovery.conftest import TINY

KEY = jax.random.key(5)
ORPO = mpo.objective("orpo")


@pytest.fixture(scope="module")
def ground(datasets):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISCOVERY_CACHE", str(datasets))
        return situation.prepare(config.from_json(TINY), Purpose.DISCOVERY, all_devices())


@pytest.fixture(scope="module")
def recorded(ground):
    return trajectory.record(ORPO, ground, KEY, agents=2, moments=4, pairs=16)


def arguments(ground):
    return ORPO, ground.sources[0], ground.task.policy, KEY, ground.descent


@pytest.mark.sweep
def test_the_last_snapshot_is_what_training_returns(ground):
    then = snapshots(*arguments(ground), 4)
    trained, _ = train(*arguments(ground))
    for kept, whole in zip(jax.tree.leaves(then), jax.tree.leaves(trained), strict=True):
        np.testing.assert_array_equal(kept[-1], whole)


def test_a_snapshot_is_the_parameters_after_so_many_updates(ground):
    """With a constant learning rate and no use of progress, a shorter training is a prefix."""
    objective, source, policy, key, hyper = arguments(ground)
    then = snapshots(objective, source, policy, key, hyper, 4)
    made = updates_before(4, hyper.count(source.size))
    np.testing.assert_array_equal(made, [0, 7, 13, 20])
    for moment, updates in enumerate(made[1:], start=1):
        shorter = dataclasses.replace(hyper, updates=int(updates))
        trained, _ = train(objective, source, policy, key, shorter)
        for kept, whole in zip(jax.tree.leaves(then), jax.tree.leaves(trained), strict=True):
            np.testing.assert_allclose(kept[moment], whole, rtol=1e-6, atol=1e-7)


@pytest.mark.sweep
def test_what_is_recorded_is_what_the_objective_saw(ground, recorded):
    """At the end: log π per step under the agents that a cohort trains from the same keys."""
    keys = jax.random.split(KEY, 2)
    trained = Cohort(ground, 1).train(stacked([ground.algorithm(ORPO)], each=2), keys).params
    batch = ground.sources[0].batch(jnp.arange(ground.sources[0].size))

    def chosen(agent):
        params = jax.tree.map(lambda leaf: leaf[agent], trained)
        steps = jax.vmap(ground.task.policy.log_prob, in_axes=(None, 0, 0))
        each = steps(params, batch.inputs[:, 0], batch.outputs[:, 0])
        counted = np.where(batch.mask[:, 0], each, 0)
        return np.sum(counted, -1) / np.asarray(batch.length[:, 0])

    known = np.concatenate([chosen(agent) for agent in (0, 1)])
    assert recorded.chosen.shape == recorded.rejected.shape == (4, 32)
    for value in recorded.chosen[-1]:
        assert np.min(np.abs(known - value)) < 1e-4
    np.testing.assert_allclose(recorded.progress, [0, 7 / 19, 13 / 19, 1], rtol=1e-6)


def test_training_moves_and_the_same_request_repeats(ground, recorded):
    again = trajectory.record(ORPO, ground, KEY, agents=2, moments=4, pairs=16)
    np.testing.assert_array_equal(again.chosen, recorded.chosen)
    assert np.mean(recorded.chosen[-1]) > np.mean(recorded.chosen[0]) + 0.1


def test_saved_and_loaded_it_is_the_same(recorded, tmp_path):
    recorded.save(tmp_path / "deep" / "trajectory.npz")
    loaded = trajectory.load(tmp_path / "deep" / "trajectory.npz")
    for name, values in vars(recorded).items():
        np.testing.assert_array_equal(getattr(loaded, name), values)


@pytest.mark.parametrize("damage", ["missing", "noise", "other", "shapes"])
def test_a_file_that_holds_none_is_refused(damage, tmp_path):
    path = tmp_path / "t.npz"
    if damage == "noise":
        path.write_bytes(b"PK\x03\x04 not at all")
    if damage == "other":
        np.savez(path, allow_pickle=False, weights=np.ones(3))
    if damage == "shapes":
        two = np.zeros((2, 3))
        np.savez(path, allow_pickle=False, progress=np.zeros(3), chosen=two, rejected=two)
    with pytest.raises(RequestError, match="holds no trajectory"):
        trajectory.load(path)


def test_what_is_not_finite_was_not_visited():
    chosen = np.array([[-1.0, -np.inf], [np.nan, -2.0]])
    some = trajectory.Trajectory(np.array([0.0, 1.0]), chosen, np.full((2, 2), -3.0))
    np.testing.assert_array_equal(some.visited().chosen, [-1.0, -2.0])
    np.testing.assert_array_equal(some.visited().progress, [0.0, 1.0])
    with pytest.raises(RequestError, match="nothing was trained"):
        dataclasses.replace(some, rejected=np.full((2, 2), np.nan)).visited()


def test_one_moment_is_no_trajectory(ground):
    with pytest.raises(RequestError, match="at least 2 moments"):
        trajectory.record(ORPO, ground, KEY, moments=1)
