"""The same agents, trained one after another by a plain PyTorch loop."""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import mpo
from benchmarks.measuring import Skipped, Table, child, timed, turns
from benchmarks.training import agents
from benchmarks.workload import Workload
from mpo.policies import GaussianPolicy
from mpo.train.order import Order

ROUNDS = 3
"""At most: each takes PyTorch's start, which is not counted, but waited for."""


def beside(work: Workload) -> Table:
    """Let PyTorch and the inner loop train the same agent in turns; then many agents here."""
    if importlib.util.find_spec("torch") is None:
        raise Skipped("torch is not installed: pip install 'preference-discovery[llm]'")
    if not isinstance(work.task.policy, GaussianPolicy):
        raise Skipped(f"the PyTorch loop knows Gaussian policies, not that of {work.task.name!r}")
    orpo, many = mpo.objective("orpo"), work.setting.agents
    one, member, shared = agents(work.situation, orpo, 1, work.lone)
    all_, members, spread = agents(work.situation, orpo, many, work.devices)
    here = {
        "here, one agent on one device": (1, timed(one, member, *shared)),
        f"here, {many} agents on {work.devices.size} devices": (
            many,
            timed(all_, members, *spread),
        ),
    }
    with tempfile.TemporaryDirectory() as folder:
        loops = [Loop(Path(folder), threads) for threads in thread_counts()]
        loops[0].write(work)
        calls = {loop.name: loop.train for loop in loops}
        calls |= {name: call for name, (_, call) in here.items()}
        timings = turns(calls, min(ROUNDS, work.setting.rounds))
        gap = loops[0].difference(one(member, *shared)[0])
    sizes = {name: size for name, (size, _) in here.items()}
    rates = {name: sizes.get(name, 1) / timing.best for name, timing in timings.items()}
    fastest = max(rates[loop.name] for loop in loops)
    return Table(
        f"ORPO, {work.setting.updates} updates of {work.setting.batch} pairs, "
        f"{work.samples:,} samples an agent",
        {
            name: {
                "agents/s": rate,
                "M samples/s": rate * work.samples / 1e6,
                "of PyTorch": rate / fastest,
            }
            for name, rate in rates.items()
        },
        (
            f"torch {loops[0].about['torch']} on {loops[0].about['device']}, one agent after "
            "another; same items in the same order, same network, Adam",
            f"after training, the parameters of both differ by at most {gap:.1e}",
        ),
    )


def thread_counts() -> tuple[int, ...]:
    """Return one thread and one for each core: small networks may gain nothing from more."""
    return tuple(sorted({1, len(os.sched_getaffinity(0))}))


class Loop:
    """The loop in processes of its own, where torch has its threads for itself."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self._problem, self._result = folder / "problem.npz", folder / f"agent{threads}.npz"
        self._threads = threads
        self.name = f"PyTorch, threads {threads}"
        self.about: dict[str, Any] = {}

    def write(self, work: Workload) -> None:
        """Write down what the first agent of `agents` is trained on."""
        np.savez(self._problem, allow_pickle=False, **problem(work))

    def train(self) -> float:
        """Train one agent; return the seconds of the training alone."""
        command = (sys.executable, "-m", "benchmarks.torch_loop", str(self._problem))
        options = ("--out", str(self._result), "--threads", str(self._threads))
        done = subprocess.run(
            (*command, *options), env=child(), capture_output=True, text=True, check=False
        )
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
    source, hyper = work.situation.sources[0], work.situation.descent
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
