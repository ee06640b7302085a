"""What a discovery costs, and its parts beside what else there is; ratios within one run.

    report = bench.measure(["train", "generation"], bench.Setting(task="hopper"))

A part is a function of a `Workload` to a `Table`, and a line in `bench.report.PARTS`.
"""

from discovery.bench.report import PARTS, SCHEMA, Report, chosen, measure
from discovery.bench.setting import Setting
from discovery.bench.table import Skipped, Table
from discovery.bench.workload import Workload

__all__ = [
    "PARTS",
    "SCHEMA",
    "Report",
    "Setting",
    "Skipped",
    "Table",
    "Workload",
    "chosen",
    "measure",
]
