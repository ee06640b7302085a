"""What only a GPU can show, within minutes, as one JSON.

    python -m benchmarks.gpu > gpu.json

Each part runs in a process of its own for a limited time: one that fails, hangs or wants more
memory than there is is named with its reason, and the others are measured. Nothing else is
written; what goes on is said on standard error.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from benchmarks.measuring import Skipped, child, machine
from benchmarks.report import PARTS
from benchmarks.workload import FILLING, QUICK, Setting, Workload

Say = Callable[[str], None]


class Part(NamedTuple):
    """A part of the benchmark at a size for a GPU.

    Attributes:
      part: its name among the parts of `discovery bench`.
      limit: seconds for it, its start and compiling included.
      sizes: that differ from those of a GPU.
    """

    part: str
    limit: float
    sizes: Mapping[str, Any] = MappingProxyType({})


PLAN: Mapping[str, Part] = MappingProxyType(
    {
        "train": Part("train", 75),
        "agents": Part("growth", 75, {"populations": (1, 4, 16, 64, 256), "row_counts": ()}),
        "agents, many": Part("growth", 60, {"populations": (1024, 4096), "row_counts": ()}),
        "paper": Part("paper", 200),
        "rollouts": Part("rollouts", 90, {"rollouts": ((16_384,),)}),
        "torch": Part("torch", 150),
        "ways": Part("ways", 75, {"updates": 20}),
        "rows": Part("growth", 60, {"populations": (), "row_counts": (256, 1024, 5120)}),
        "evosax": Part("evosax", 90),
    }
)
"""What is measured, what matters most first: the last are left out when the time is over."""

TOY: Final = {**QUICK, "horizon": 60, "populations": (1, 4), "row_counts": (64,), "sizes": (4,)}
"""Sizes at which the script itself can be tried on two cores; the generation of the paper's
size is left out."""


def measure(minutes: float, *, toy: bool = False, say: Say = lambda line: None) -> dict[str, Any]:
    """Measure the plan's parts until the time is over; return all that is known as JSON values."""
    begin = time.monotonic()
    report: dict[str, Any] = {"machine": None, "parts": {}, "skipped": {}}
    for name, part in PLAN.items():
        passed = time.monotonic() - begin
        limit = min(part.limit, 60 * minutes - passed)
        say(f"{passed:4.0f} s: {name}, {max(limit, 0):.0f} s at most")
        if toy and part.part == "paper":
            report["skipped"][name] = "it has no toy size"
            continue
        found, reason = apart(name, toy=toy, limit=limit)
        if found is None:
            report["skipped"][name] = reason
            say(f"       {reason}")
        else:
            report["machine"] = found.pop("machine")
            report["parts"][name] = found
            say("".join(f"       {row}: {found['rows'][row]}\n" for row in found["rows"]).rstrip())
    return report | {"seconds": time.monotonic() - begin}


def apart(name: str, *, toy: bool, limit: float) -> tuple[dict[str, Any] | None, str]:
    """Measure a part in a process of its own; return what it found, or why it found nothing."""
    if limit <= 0:
        return None, "the time was over"
    begin = time.monotonic()
    command = [sys.executable, "-m", "benchmarks.gpu", "--part", name]
    # PyTorch's processes share the memory of the device with the one that starts them.
    environment = child(
        {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"} if PLAN[name].part == "torch" else {}
    )
    try:
        done = subprocess.run(
            [*command, *(["--toy"] if toy else [])],
            env=environment,
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None, f"it took longer than {limit:.0f} s"
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        return None, f"exit status {done.returncode}: {' | '.join(said[-2:])[:600]}"
    found: dict[str, Any] = json.loads(lines[-1])
    if "skipped" in found:
        return None, found["skipped"]
    return found | {"seconds": time.monotonic() - begin}, ""


def here(part: Part, *, toy: bool) -> dict[str, Any]:
    """Measure a part in this process; return its table and the machine as JSON values."""
    from discovery.host import startup

    startup.compilation_cache()
    sizes: dict[str, Any] = {**FILLING, "synthetic": True, **part.sizes, **(TOY if toy else {})}
    try:
        found = PARTS[part.part].measure(Workload(Setting(**sizes)))
    except Skipped as reason:
        return {"skipped": str(reason)}
    where = machine()
    return found.as_json() | {"machine": {"line": str(where), **where.as_json()}}


def main() -> None:
    """Print the JSON of all parts, or of the one that `--part` names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=8.0, help="for all parts together")
    parser.add_argument("--toy", action="store_true", help="sizes to try the script with")
    parser.add_argument("--part", choices=PLAN, help="one part only, in this process")
    request = parser.parse_args()
    if request.part is not None:
        print(json.dumps(here(PLAN[request.part], toy=request.toy)))
        return
    report = measure(
        request.minutes, toy=request.toy, say=lambda line: print(line, file=sys.stderr, flush=True)
    )
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
