"""The most memory that a discovery has, by population and rows, each in a process of its own."""

import dataclasses

from discovery.bench.child import started
from discovery.bench.table import Row, Skipped, Table
from discovery.bench.workload import Workload


def measure(work: Workload) -> Table:
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
