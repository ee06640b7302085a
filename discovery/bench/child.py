"""A process of its own that runs two generations: `python -m discovery.bench.child SETTING`.

SETTING is a `Setting` as JSON. Prints JSON: seconds and peak memory of each, the first of which
compiles, and the seconds in the compiler.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from discovery.bench.setting import Setting

_COMPILER = "/jax/core/compile/backend_compile_duration"


def started(setting: Setting, environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Run this file in a process of its own, and return what it printed.

    Raises:
      RuntimeError: it failed.
    """
    command = (sys.executable, "-m", "discovery.bench.child", json.dumps(setting.as_json()))
    begin = time.perf_counter()
    done = subprocess.run(
        command, env=dict(environment), capture_output=True, text=True, check=False
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

    from discovery.bench.machine import forget_peak, peak_device_memory, peak_memory
    from discovery.bench.workload import Workload

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


if __name__ == "__main__":
    print(json.dumps(figures(Setting.from_json(json.loads(sys.argv[1])))))
