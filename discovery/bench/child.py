"""A process of its own that runs two generations: `python -m discovery.bench.child SETTING`.

SETTING is a `Setting` as JSON. Prints JSON: seconds until the first generation was over, of them
in the compiler; peak memory.
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
    from discovery import startup

    startup.host_devices()
    startup.compilation_cache()
    import jax

    from discovery.bench.machine import peak_device_memory, peak_memory
    from discovery.bench.workload import Workload

    compiling: list[float] = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, seconds, **_: compiling.append(seconds) if event == _COMPILER else None
    )
    search = Workload(setting).search({"updates": setting.updates})
    state = search.init()
    seconds = []
    for _ in range(2):
        begin = time.perf_counter()
        members, asked = search.ask(state)
        measured = search.score(search.train(members, asked))
        state = jax.block_until_ready(search.tell(asked, members, measured))
        seconds.append(time.perf_counter() - begin)
    return {
        "first": seconds[0],
        "second": seconds[1],
        "compiler": sum(compiling),
        "memory": peak_memory(),
        "device_memory": peak_device_memory(),
    }


if __name__ == "__main__":
    print(json.dumps(figures(Setting.from_json(json.loads(sys.argv[1])))))
