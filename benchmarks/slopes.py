"""What a slope holds in memory beside the parameters: of compiled programs, as ratios in one run.

The numbers are those of the compiler: temporary arrays of one step of a small transformer on a
batch of responses, which are what backward differentiation has to keep and a forward pass has not.
"""

from typing import Any

import jax
import jax.numpy as jnp

import mpo
from benchmarks.measuring import Row, Table
from benchmarks.workload import Workload
from mpo.policies import GPTPolicy
from mpo.train import Descent, hyper

POLICY = GPTPolicy(vocabulary=100, length=32)
RESPONSES = (64, 256)
SLOPES = {
    "gradient, Adam": ("backward", "adam"),
    "gradient, SGD": ("backward", "sgd"),
    "forward gradient": ("forward_gradient", "sgd"),
    "two forward passes": ("spsa", "sgd"),
    "two forward passes, guided": ({"name": "guided", "first": "spsa"}, "sgd"),
}
FORWARD = "forward pass alone"


def memory(work: Workload) -> Table:
    """Compile a step of every slope at two sizes of a batch, and say what each holds."""
    params = POLICY.init(jax.random.key(0))
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(params))
    rows: dict[str, Row] = {}
    for name, (slope, optimizer) in {FORWARD: ("backward", "sgd"), **SLOPES}.items():
        descent = hyper(slope=slope, optimizer=optimizer, updates=1)
        few, many = (_held(descent, params, n, alone=name == FORWARD) for n in RESPONSES)
        rows[name] = {
            f"MB, {RESPONSES[0]} responses": few / 1e6,
            f"MB, {RESPONSES[1]} responses": many / 1e6,
            "kB a response more": (many - few) / 1e3 / (RESPONSES[1] - RESPONSES[0]),
        }
    return Table(
        f"temporary arrays of a step; a GPT of {size / 1e6:.2f} MB, responses of 32 tokens",
        rows,
        ("as the compiler lays them out: parameters and optimizer come on top",),
    )


def _held(descent: Descent, params: Any, responses: int, *, alone: bool) -> int:
    """Return the bytes of temporary arrays of a compiled step, or of its loss alone."""
    contexts = jnp.zeros(responses, jnp.int32)
    tokens = jnp.zeros((responses, POLICY.length), jnp.int32)
    objective = mpo.objective("sft", length_normalise=False)

    def loss(params: Any) -> Any:
        each = jax.vmap(POLICY.log_prob, (None, 0, 0))(params, contexts, tokens)
        logp = jnp.sum(each, axis=-1)
        lengths = jnp.full((1,), POLICY.length)
        of_one = jax.vmap(lambda value: objective(mpo.Comparison(value[None], lengths), 0.0))
        return jnp.mean(of_one(logp)), {}

    def step(params: Any, key: Any) -> Any:
        if alone:
            return loss(params)[0]
        optimizer, slope = descent.build(1), descent.slope
        state = slope.turn(slope.init(params, 1), params, None)
        _, _, direction, state = slope(loss, params, state, key)
        return optimizer.update(direction, optimizer.init(params), params)[0], state

    found: Any = jax.jit(step).lower(params, jax.random.key(0)).compile().memory_analysis()
    return int(found.temp_size_in_bytes)
