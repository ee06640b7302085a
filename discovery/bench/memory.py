"""The most memory that a discovery has, by population and rows, each in a process of its own."""

import dataclasses

from discovery.bench.child import started
from discovery.bench.table import Row, Table
from discovery.bench.workload import Workload


def measure(work: Workload) -> Table:
    """Run two generations of one update with few and many members, and on few and many rows."""
    asked = work.setting
    few, many = max(4, asked.populations[0]), max(4, asked.populations[-1])
    rows: dict[str, Row] = {}
    for population, count in (
        (few, asked.row_counts[0]),
        (many, asked.row_counts[0]),
        (few, asked.row_counts[-1]),
    ):
        setting = dataclasses.replace(
            asked, synthetic=True, population=population, rows=count, updates=1, episodes=1
        )
        run = started(setting)
        row = {"host MB": run["memory"] / 1e6}
        if run["device_memory"] is not None:
            row["device MB"] = run["device_memory"] / 1e6
        rows[f"population {population}, {count:,} rows"] = row
    return Table(
        "peak memory of a process that runs two generations of one update and one episode",
        rows,
        (f"on {work.devices.size} devices, each of which holds the data",),
    )
