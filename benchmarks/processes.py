"""What a process of its own costs to start, and in memory.

    python -m benchmarks.processes SETTING

SETTING is a `Setting` as JSON. The process runs two generations, the first of which
compiles, and prints JSON: seconds and peak memory of each, and the seconds in the compiler.
"""

import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from benchmarks.measuring import (
    Row,
    Skipped,
    Table,
    child,
    forget_peak,
    peak_device_memory,
    peak_memory,
)
from benchmarks.workload import Setting, Workload

_COMPILER = "/jax/core/compile/backend_compile_duration"


def started(
    setting: Setting, environment: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """Run this file in a process of its own, with so much on top of the environment of this one.

    Returns:
      What it printed, and the seconds that it took in all.

    Raises:
      RuntimeError: it failed.
    """
    command = (sys.executable, "-m", "benchmarks.processes", json.dumps(setting.as_json()))
    begin = time.perf_counter()
    done = subprocess.run(
        command, env=child(environment), capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - begin
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise RuntimeError(f"a process of the benchmark failed: {said[-1]}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures | {"process": seconds}


def figures(setting: Setting) -> dict[str, Any]:
    """Run two generations here; return what they took."""
    from discovery.host import startup

    startup.host_devices()
    startup.compilation_cache()
    import jax

    compiling: list[float] = []

    def listen(event: str, duration_secs: float, **about: Any) -> None:
        if event == _COMPILER:
            compiling.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(listen)
    search = Workload(setting).search(setting.updates, generations=2)
    state = search.init()
    seconds, peaks = [], []
    for _ in range(2):
        forget_peak()
        begin = time.perf_counter()
        members, asked = search.ask(state)
        measured = search.score(search.train(members, asked))
        state = jax.block_until_ready(search.tell(asked, members, measured))
        seconds.append(time.perf_counter() - begin)
        peaks.append(peak_memory())
    return {
        "seconds": seconds,
        "memory": peaks,
        "device_memory": peak_device_memory(),
        "compiler": sum(compiling),
    }


def start_up(work: Workload) -> Table:
    """Start two processes, one after the other, that share an empty compilation cache."""
    least = dataclasses.replace(
        work.setting,
        synthetic=True,
        rows=2,
        horizon=work.setting.horizon or min(work.task.horizon, work.setting.steps),
        updates=1,
        population=4,
        episodes=1,
    )
    with tempfile.TemporaryDirectory() as cache:
        environment = {
            "JAX_COMPILATION_CACHE_DIR": cache,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",  # as `startup.compilation_cache`
        }
        runs = {name: started(least, environment) for name in ("cold", "cached")}
    return Table(
        "processes that run two generations of hardly any work",
        {
            name: {
                "first generation s": run["seconds"][0],
                "in the compiler s": run["compiler"],
                "second generation s": run["seconds"][1],
                "whole process s": run["process"],
            }
            for name, run in runs.items()
        },
        ("the time to compile does not depend on updates, steps or episodes, which are few here",),
    )


def memory(work: Workload) -> Table:
    """Run two generations of one update and one episode with few and many members and rows."""
    rows: dict[str, Row] = {}
    for population, count in work.setting.processes:
        run = started(
            dataclasses.replace(
                work.setting,
                synthetic=True,
                population=population,
                rows=count,
                updates=1,
                episodes=1,
            )
        )
        if None in run["memory"]:
            raise Skipped("this system does not tell the peak memory of a process")
        compiling, compiled = (peak / 1e6 for peak in run["memory"])
        row = {"compiling MB": compiling, "compiled MB": compiled}
        if run["device_memory"] is not None:
            row["device MB"] = run["device_memory"] / 1e6
        rows[f"population {population}, {count:,} rows"] = row
    return Table(
        "peak memory of a process that runs two generations of one update and one episode",
        rows,
        (
            f"on {work.devices.size} devices, each of which holds the data; the first generation "
            "compiles, the second need not",
        ),
    )


if __name__ == "__main__":
    print(json.dumps(figures(Setting.from_json(json.loads(sys.argv[1])))))
