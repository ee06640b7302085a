"""Memory and time of a loss from hidden states, with all the logits and in chunks of them.

    python -m benchmarks.chunked [WAY]

A way is measured in this process, without one all are, each in a process of its own; printed are
JSON, or shares of what all the logits take.
"""

import importlib.util
import json
import sys
import time
from typing import Any, Final

from benchmarks.language_model import apart
from benchmarks.measuring import Row, Skipped, Table, forget_peak, peak_memory
from benchmarks.workload import Workload

PAIRS, TOKENS, WIDTH, WORDS = 8, 128, 256, 32_768
SIZES: Final = {"all the logits": None, "chunks of 1,024": 1024, "chunks of 256": 256}
ROUNDS: Final = 3


def memory(work: Workload) -> Table:
    """Compute the loss and its gradients in each way, in a process of its own."""
    if importlib.util.find_spec("torch") is None:
        raise Skipped("torch is not installed: pip install 'preference-discovery[llm]'")
    found = {way: apart("benchmarks.chunked", way) for way in SIZES}
    whole = found["all the logits"]
    rows: dict[str, Row] = {
        way: {
            "MiB": one["MiB"],
            "of all's memory": one["MiB"] / whole["MiB"],
            "of all's time": one["seconds"] / whole["seconds"],
        }
        for way, one in found.items()
    }
    return Table(
        f"ORPO from hidden states: {PAIRS} pairs of {TOKENS} tokens, {WIDTH} wide, {WORDS:,} words",
        rows,
        (
            "peak of loss and gradients above what was there before, one thread",
            "loss and gradients agree to "
            f"{max(abs(one['check'] / whole['check'] - 1) for one in found.values()):.0e}",
        ),
    )


def measure(way: str) -> dict[str, float]:
    """Return the peak in MiB, seconds, and a number that all ways share."""
    import torch

    import llm_transfer

    torch.set_num_threads(1)
    namespace: dict[str, Any] = {"__name__": "chunked"}
    exec(llm_transfer.export("orpo", "chunked"), namespace)
    torch.manual_seed(0)
    hidden = torch.randn(2 * PAIRS, TOKENS, WIDTH, requires_grad=True)
    weight = (torch.randn(WORDS, WIDTH) / WIDTH**0.5).requires_grad_()
    targets = torch.randint(0, WORDS, (2 * PAIRS, TOKENS))
    mask = torch.ones_like(targets)
    size = SIZES[way]

    def update() -> float:
        hidden.grad = weight.grad = None
        if size is None:
            each = (hidden @ weight.T).log_softmax(-1).gather(-1, targets[..., None])[..., 0]
            sums, lengths = (each * mask).sum(-1), mask.sum(-1)
            loss = namespace["loss"](*sums.chunk(2), *lengths.chunk(2)).mean()
        else:
            loss = namespace["chunked_loss"](hidden, weight, targets, mask, size=size).mean()
        loss.backward()
        return float(loss + weight.grad.norm() + hidden.grad.norm())

    forget_peak()
    before, seconds = peak_memory() or 0.0, []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        check = update()
        seconds.append(time.perf_counter() - start)
    mib = ((peak_memory() or 0.0) - before) / 2**20
    return {"MiB": mib, "seconds": min(seconds), "check": check}


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1])))
    else:
        results = {way: apart("benchmarks.chunked", way) for way in SIZES}
        whole = results["all the logits"]
        for way, one in results.items():
            print(
                f"{way}: {one['MiB']:.0f} MiB, {one['MiB'] / whole['MiB']:.2f} of the memory, "
                f"{one['seconds'] / whole['seconds']:.2f} of the time; {one['check']:.6f}"
            )
