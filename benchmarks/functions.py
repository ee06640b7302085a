"""A loss of tensors in a training, beside the same in JAX: `python -m benchmarks.functions`.

Agents of the preset `quick` are trained by DPO, each way in turn; the first of each compiles and is
not counted.
"""

import time
from collections.abc import Callable

import jax
import numpy as np
import torch

import discovery
import mpo
from benchmarks.measuring import number
from discovery.judging import stranger
from llm_transfer.functions import as_jax

TRIES = 5


def loss(logp: torch.Tensor, length: torch.Tensor, ref_logp: torch.Tensor) -> torch.Tensor:
    """Return DPO's loss of a comparison."""
    margin = (logp[0] - ref_logp[0]) - (logp[1] - ref_logp[1])
    return -torch.nn.functional.logsigmoid(0.1 * margin)


def given(logp: jax.Array, length: jax.Array, ref_logp: jax.Array) -> jax.Array:
    """Return the loss above, called back."""
    found: Callable[..., jax.Array] = as_jax(loss)
    return found(logp=logp, length=length, ref_logp=ref_logp)


def main() -> None:
    """Print the seconds of an agent each way, and their ratio."""
    discovery.start()
    ground = discovery.prepare(discovery.describe("quick", {}))
    ways = {
        "JAX": mpo.objective("dpo", beta=0.1),
        "torch": stranger.of_function(given, "dpo_of_tensors", __file__)(),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for seed in range(TRIES + 1):
        for name, objective in ways.items():
            began = time.perf_counter()
            jax.block_until_ready(discovery.train(objective, ground, seed=seed))
            taken[name].append(time.perf_counter() - began)
    best = {name: float(np.min(seconds[1:])) for name, seconds in taken.items()}
    print("| loss | s an agent | beside JAX |\n| --- | --- | --- |")
    for name, seconds in best.items():
        print(f"| {name} | {number(seconds)} | {number(seconds / best['JAX'])} |")


if __name__ == "__main__":
    main()
