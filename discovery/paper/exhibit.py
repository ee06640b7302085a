"""A table or figure of the mirror-preference paper as data: which objectives, in which situations.

The files are in `discovery.paper.contents`. What stands at the top of one is what every row
has, unless it says otherwise; how agents are trained is said by the presets of a scale alone.
"""

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from discovery import config
from discovery.config import Config
from discovery.config.scales import Scale
from discovery.config.sections import Section, Settings
from mpo.artifact.places import SHIPPED, shipped_names
from mpo.errors import RequestError, unknown
from mpo.settings import Checked, build, one_of

SHAPES = ("table", "figure")


@dataclass(frozen=True, kw_only=True)
class Row(Section):
    """A row of a table, or a panel of a figure: objectives in a situation.

    Attributes:
      name: of the row, and of its folder.
      about: a line about it.
      task: name of the task in which agents act.
      data: settings of the preference data, on top of the preset's.
      objectives: names of the objectives compared, by column; differences are to the first.
      paper: what the paper's text says of an objective, by column, where it says anything.
    """

    name: str
    about: str
    task: str
    objectives: Settings
    data: Settings = field(default_factory=dict)
    paper: Settings = field(default_factory=dict)

    def config(self, scale: Scale, changes: Mapping[str, Any]) -> Config:
        """Return a description with the task, data and training of this row."""
        described = config.from_json(_over(scale.described(self.task), {"data": self.data}))
        return config.changed(described, changes)

    @property
    def missing(self) -> tuple[str, ...]:
        """The names of objectives that are to ship with the package and do not."""
        names = [name for name in self.objectives.values() if name.startswith(SHIPPED)]
        return tuple(sorted({*names} - {*shipped_names()}))


@dataclass(frozen=True, kw_only=True)
class Exhibit(Checked):
    """A table or figure.

    Attributes:
      name: of the exhibit in commands and files, such as "table-1".
      about: a line about it.
      rows: of the table, or panels of the figure.
      shape: how it is made: a name in `discovery.paper.making.SHAPES`.
      moments: of training at which a figure shows landscapes, from 0 to 1.
    """

    name: str
    about: str
    rows: tuple[Row, ...]
    shape: str = one_of("table", SHAPES)
    moments: tuple[float, ...] = (0.0,)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that any of the rows has."""
        return tuple(dict.fromkeys(column for row in self.rows for column in row.objectives))

    def chosen(self, names: tuple[str, ...]) -> tuple[Row, ...]:
        """Return the rows with these names; all of them, if there are none."""
        known = {row.name: row for row in self.rows}
        for name in names:
            if name not in known:
                raise unknown(f"row of {self.name}", name, known)
        return tuple(row for row in self.rows if not names or row.name in names)


def exhibits() -> dict[str, str]:
    """Return the name of every table and figure, with a line about it."""
    return {name: exhibit(name).about for name in _shipped()}


def exhibit(name: str) -> Exhibit:
    """Return the table or figure `name`."""
    if name not in (known := _shipped()):
        raise unknown("table or figure", name, known)
    text = resources.files("discovery.paper.contents").joinpath(f"{name}.toml").read_text()
    return from_values(name, tomllib.loads(text))


def from_values(name: str, values: Mapping[str, Any]) -> Exhibit:
    """Return the table or figure that these plain values are."""
    shared = {one.name for one in dataclasses.fields(Row)}
    common = {key: value for key, value in values.items() if key in shared and key != "about"}
    rows = tuple(Row.of(_over(common, own)) for own in values.get("rows", ()))
    if len({row.name for row in rows}) != len(rows):
        raise RequestError(f"two rows of {name} have the same name")
    own = {key: value for key, value in values.items() if key not in common}
    if "rows" in own:
        own["rows"] = rows
    return build(Exhibit, name, own | {"name": name})


def _over(common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a row on top of the common ones, tables entry by entry."""
    tables = {
        key: {**value, **own.get(key, {})}
        for key, value in common.items()
        if isinstance(value, Mapping)
    }
    return {**common, **own, **tables}


def _shipped() -> list[str]:
    folder = resources.files("discovery.paper.contents")
    return sorted(
        p.name.removesuffix(".toml") for p in folder.iterdir() if p.name.endswith(".toml")
    )
