"""How long a discovery takes to get going, with nothing compiled before and with everything."""

import dataclasses
import os
import tempfile

from discovery.bench.child import started
from discovery.bench.table import Table
from discovery.bench.workload import Workload


def measure(work: Workload) -> Table:
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
        environment = os.environ | {
            "JAX_COMPILATION_CACHE_DIR": cache,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5",
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
