"""The same agents, trained one after another by a plain PyTorch loop."""

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import mpo
from discovery.bench.table import Skipped, Table
from discovery.bench.timing import timed, turns
from discovery.bench.training import agents
from discovery.bench.workload import Workload
from mpo.policies import GaussianPolicy
from mpo.train.order import Order

LOOP = "PyTorch, one agent after another"


def measure(work: Workload) -> Table:
    """Let PyTorch and the inner loop train the same agent in turns; then many agents here."""
    if importlib.util.find_spec("torch") is None:
        raise Skipped("torch is not installed: pip install 'preference-discovery[llm]'")
    if not isinstance(work.task.policy, GaussianPolicy):
        raise Skipped(f"the PyTorch loop knows Gaussian policies, not that of {work.task.name!r}")
    orpo, many = mpo.objective("orpo"), work.setting.agents
    one, member, shared = agents(work.situation, orpo, 1, work.lone)
    all_, members, spread = agents(work.situation, orpo, many, work.devices)
    here, everywhere = "here, one device", f"here, {many} agents, {work.devices.size} devices"
    with tempfile.TemporaryDirectory() as folder:
        loop = Loop(Path(folder))
        loop.write(work)
        calls = {
            LOOP: loop.train,
            here: timed(one, member, *shared),
            everywhere: timed(all_, members, *spread),
        }
        timings = turns(calls, work.setting.rounds)
        gap = loop.difference(one(member, *shared)[0])
    sizes = {LOOP: 1, here: 1, everywhere: many}
    rates = {name: sizes[name] / timing.best for name, timing in timings.items()}
    return Table(
        f"ORPO, {work.setting.updates} updates of {work.setting.batch} pairs, "
        f"{work.samples:,} samples an agent",
        {
            name: {
                "agents/s": rate,
                "M samples/s": rate * work.samples / 1e6,
                "of PyTorch": rate / rates[LOOP],
            }
            for name, rate in rates.items()
        },
        (
            f"torch {loop.about['torch']} on {loop.about['device']}, "
            f"{loop.about['threads']} threads; same items, order, network, Adam",
            f"after training, the parameters of both differ by at most {gap:.1e}",
        ),
    )


class Loop:
    """The loop in processes of its own, as this package does not import torch."""

    def __init__(self, folder: Path) -> None:
        self._problem, self._result = folder / "problem.npz", folder / "agent.npz"
        self.about: dict[str, Any] = {}

    def write(self, work: Workload) -> None:
        """Write down what the first agent of `agents` is trained on."""
        np.savez(self._problem, allow_pickle=False, **problem(work))

    def train(self) -> float:
        """Train one agent; return the seconds of the training alone."""
        command = (sys.executable, "-m", "llm_transfer.torch_loop", str(self._problem))
        options = ("--json", "--out", str(self._result))
        done = subprocess.run((*command, *options), capture_output=True, text=True, check=False)
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
            raise RuntimeError(f"the PyTorch loop failed: {said[-1]}")
        self.about = json.loads(done.stdout.splitlines()[-1])
        return float(min(self.about["seconds"]))

    def difference(self, params: Any) -> float:
        """Return how far its last agent is from the first of `params`, at most."""
        ours = named(jax.tree.map(lambda leaf: leaf[0], params))
        with np.load(self._result, allow_pickle=False) as theirs:
            return max(float(np.max(np.abs(ours[name] - theirs[name]))) for name in theirs.files)


def problem(work: Workload) -> dict[str, np.ndarray]:
    """Return all that decides the training of the first agent of `agents`, by name."""
    source, hyper = work.situation.sources[0], work.situation.hyper
    batch = source.batch(jnp.arange(source.size, dtype=jnp.int32))
    key = jax.random.split(jax.random.key(0), 1)[0]
    init, ordering = jax.random.split(key)  # as `mpo.train.train` does
    updates = hyper.count(source.size)
    order = Order.of(ordering, source.size, hyper.batch, updates)
    arrays = {
        "inputs": batch.inputs,
        "outputs": batch.outputs,
        "mask": batch.mask,
        "order": jax.vmap(order.items)(jnp.arange(updates, dtype=jnp.int32)),
        "learning_rate": hyper.learning_rate,
        "max_gradient_norm": hyper.max_gradient_norm,
    }
    start = work.task.policy.init(init)
    frozen = {n: getattr(start, n) for n in ("observation_mean", "observation_std")}
    return {n: np.asarray(value) for n, value in (arrays | frozen | named(start)).items()}


def named(params: Any) -> dict[str, np.ndarray]:
    """Return what is trained of a Gaussian policy, by PyTorch's names."""
    layers = {
        f"{kind}.{number}": np.asarray(leaf)
        for kind in ("kernels", "biases")
        for number, leaf in enumerate(getattr(params, kind))
    }
    return layers | {"log_std": np.asarray(params.log_std)}
