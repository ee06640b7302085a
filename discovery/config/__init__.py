"""The description of a run: plain, frozen, checked; from a preset, a file, and settings on top.

described = config.preset("quick")
described = config.changed(described, {"search.generations": 5})
"""

from discovery.config.reading import (
    changed,
    from_file,
    from_json,
    named,
    preset,
    presets,
    setting,
)
from discovery.config.sections import Config, Data, Evaluation, Family, Search, Task, Training

__all__ = [
    "Config",
    "Data",
    "Evaluation",
    "Family",
    "Search",
    "Task",
    "Training",
    "changed",
    "from_file",
    "from_json",
    "named",
    "preset",
    "presets",
    "setting",
]
