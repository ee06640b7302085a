import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mpo
from mpo.policies import GaussianPolicy
from mpo.train import WAYS, hyper, population, train
from tests.refusals import Meant, refusal

POLICY = GaussianPolicy(2, 2, hidden=(8,))
START = POLICY.init(jax.random.key(1))
SETTINGS = hyper(updates=4, batch=4)


def one(member, source):
    key, lam = member
    objective = mpo.objective("orpo", lam=lam)
    params, metrics = train(objective, source, POLICY, key, SETTINGS, start=START)
    return params, metrics.loss


def members(size):
    return jax.random.split(jax.random.key(0), size), jnp.linspace(0.1, 1.0, size)


@pytest.fixture(scope="module")
def alone(walks):
    view = walks.view()
    results = [one(member, view) for member in zip(*members(5), strict=True)]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *results)


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.sweep
def test_every_way_gives_what_the_members_give_alone(how, walks, alone):
    together = population(one, how, chunk=2)(members(5), walks.view())
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), together, alone
    )


def test_a_population_is_compiled_once():
    traces = []

    def counted(member, shared):
        traces.append(member)
        return member * shared

    run = population(counted)
    for scale in (1.0, 2.0):
        np.testing.assert_allclose(run(jnp.arange(3.0), jnp.asarray(scale)), scale * np.arange(3.0))
    assert len(traces) == 1


@pytest.mark.sweep
def test_memory_does_not_grow_with_the_population(walks):
    """Beyond what each member hands back: neither data nor activations are held per member."""
    view = walks.view()

    def memory(size):
        run = population(lambda member: one(member, view), "map")
        compiled = run.local.lower(members(size)).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    results = jax.eval_shape(jax.vmap(one, (0, None)), members(1), view)
    handed_back = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(results))
    assert memory(34) - memory(2) < 32 * 3 * handed_back


@pytest.mark.parametrize(
    ("how", "chunk", "complaint"),
    [("mapp", 1, Meant("map")), ("chunks", 0, "at least 1")],
)
def test_a_way_that_is_none_is_refused(how, chunk, complaint):
    with refusal(complaint):
        population(one, how, chunk=chunk)


DEVICES = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh
import mpo
from envs.data import from_arrays
from mpo.policies import GaussianPolicy
from mpo.train import hyper, population, replicated, train

rng = np.random.default_rng(0)
dataset = from_arrays(*(rng.standard_normal((16, 2, 10, 2), np.float32) for _ in range(2)))
policy, settings = GaussianPolicy(2, 2, hidden=(64, 64)), hyper(updates=4, batch=8)

start = policy.init(jax.random.key(1))

def one(key, source):
    return train(mpo.objective("orpo"), source, policy, key, settings, start=start)

assert jax.local_device_count() == 2
keys, alone = jax.random.split(jax.random.key(0), 5), jax.local_devices()[:1]
both = jax.local_devices()

from tests.mpo.train.test_rounds import BANDIT, POLICY, Differences, OnPolicy, of

renewed = of("orpo", renewal=OnPolicy(cut=2, pairs=4), descent={"slope": Differences()})
sentences = from_arrays(np.zeros((4, 2), np.int32), np.zeros((4, 2, 4), np.int32), vocabulary=10)

def on_policy(key, source):
    return train(renewed, source, POLICY, key, start=BANDIT.agent("reference"))

for one, data in ((one, dataset), (on_policy, sentences)):
    results = jax.device_get([
        population(one, "map", devices=devices)(keys, replicated(data.view(), devices))
        for devices in (Mesh(np.asarray(some), ("members",)) for some in (alone, both, both[::-1]))
    ])
    for other in results[1:]:
        jax.tree.map(np.testing.assert_array_equal, results[0], other)
    assert len(np.unique(results[0][1].loss[:, -1])) == 5
print("the same, bit for bit")
"""


LATE = """
import time
import jax, jax.numpy as jnp, numpy as np
from mpo.train import population

def wait(late):
    time.sleep(6 * float(late))
    return np.float32(late)

def slow(member):
    return jax.pure_callback(wait, jax.ShapeDtypeStruct((), jnp.float32), member)

first, second = population(slow, "map"), population(lambda member: member + 1, "map")
for members in (jnp.array([0.0, 1.0]), jnp.array([0.0, 0.0, 1.0])):
    results = first(members)
    devices = len(results.sharding.device_set)
    assert devices == (2 if len(members) == 2 else 1), devices
    np.testing.assert_array_equal(second(results), members + 1)
print("waited")
"""


def _on_two_devices(program, *flags):
    wanted = " ".join(["--xla_force_host_platform_device_count=2", *flags])
    environment = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": wanted}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | environment | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_two_devices_give_the_bits_of_one():
    """In a process of its own; five members, which two devices cannot share equally.

    Offline by gradients, and on policy by finite differences.
    """
    assert "bit for bit" in _on_two_devices(DEVICES)


@pytest.mark.slow
def test_a_device_may_be_far_behind_another():
    """One population goes into the next without a collective, which would end the process."""
    patience = (
        "--xla_cpu_collective_call_warn_stuck_timeout_seconds=1",
        "--xla_cpu_collective_call_terminate_timeout_seconds=1",
    )
    assert "waited" in _on_two_devices(LATE, *patience)
