"""Ways to train, by name: an objective, a regime, and settings that were tuned for each task.

They are in `algorithms.toml`, beside this file. What a task gives them all is under `tasks` there.
"""

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from importlib import resources
from typing import Any

import mpo
from discovery import config
from discovery.config import Config
from discovery.config.reading import merged
from discovery.config.scales import scale
from discovery.config.sections import Section, Settings
from mpo import paths
from mpo.errors import RequestError, unknown
from mpo.objectives import OBJECTIVES, Objective
from mpo.train import SLOPES

OBJECTIVE = "objective."
"""What settings of the objective begin with, among those of a training."""
SECTIONS = {"renewal.": "training.regime.", "descent.": "training.hyper."}
"""Parts of an algorithm, and where their settings are in a description."""
SLOPE = "training.hyper.slope"


@dataclass(frozen=True, kw_only=True)
class Named(Section):
    """A way to train.

    Attributes:
      about: a line about it.
      origin: the paper it is from.
      objective: a name that `mpo.objective` takes.
      settings: of the objective.
      values: of the description of a training: `regime`, `hyper`, `start`, as in `[training]`.
      data: settings of the dataset, for those that have one.
      on: by the name of a task, tables of the same names that go on top there.
    """

    about: str
    origin: str = ""
    objective: str
    settings: Settings = field(default_factory=dict)
    values: Settings = field(default_factory=dict)
    data: Settings = field(default_factory=dict)
    on: Settings = field(default_factory=dict)


@functools.cache
def _file() -> Mapping[str, Any]:
    text = resources.files("discovery.algorithms").joinpath("algorithms.toml").read_text()
    return tomllib.loads(text)


def names() -> dict[str, str]:
    """Return every algorithm that has a name, with a line about it."""
    return {name: values["about"] for name, values in _file()["algorithms"].items()}


def named(name: str) -> Named:
    """Return the algorithm of a name; a loss alone is trained on fixed data.

    Raises:
      RequestError: there is none.
    """
    known = _file()["algorithms"]
    if name in known:
        return Named.of(known[name])
    try:
        mpo.find(name)
    except RequestError as error:
        if name in OBJECTIVES or "/" in name:
            raise
        raise unknown("algorithm", name, (*known, *OBJECTIVES)) from error
    return Named(about="a loss, on fixed data", objective=name)


def described(
    name: str, task: str, changes: Mapping[str, Any] | None = None
) -> tuple[Config, Objective]:
    """Return where and how an agent of a task is trained by an algorithm, and its objective.

    Args:
      name: of the algorithm, or what `mpo.objective` takes.
      task: name of the task.
      changes: settings on top by their paths: of the description, such as "training.regime.kl", or
        of the objective, such as "objective.beta"; "objective" itself takes another loss, without
        the settings that the algorithm gives its own. The parts of an algorithm will do, too:
        "descent.learning_rate", "renewal.kl", and "descent.slope" for the name of a slope.

    Raises:
      RequestError: there is no such algorithm, task or setting.
    """
    one = named(name)
    base = scale("small").described(task)
    of_task: Mapping[str, Any] = {}
    if name in _file()["algorithms"]:
        of_task = _file()["tasks"].get(task, {})
        own: Mapping[str, Any] = one.on.get(task, {})
        training = merged(merged(of_task.get("training", {}), one.values), own.get("training", {}))
        values: dict[str, Any] = {
            **base,
            "training": training,
            "data": merged(merged(of_task.get("data", {}), one.data), own.get("data", {})),
            "task": {"name": task, "settings": dict(of_task.get("settings", {}))},
        }
        settings = {
            **of_task.get("objective", {}),
            **one.settings,
            **own.get("settings", {}),
        }
    else:
        values, settings = dict(base), {}
    changes = {_place(name): value for name, value in (changes or {}).items()}
    if (other := changes.pop("objective", None)) is not None:
        one, settings = replace(one, objective=str(other)), dict(of_task.get("objective", {}))
    of_objective = {n: v for n, v in changes.items() if n.startswith(OBJECTIVE)}
    rest = {n: v for n, v in changes.items() if n not in of_objective}
    found = mpo.find(one.objective)
    objective = found.objective
    given = {n.removeprefix(OBJECTIVE): v for n, v in of_objective.items()}
    for path, value in {**settings, **given}.items():
        objective = paths.put(objective, path, _fitted(paths.get(objective, path), value))
    if (slope := rest.get(f"{SLOPE}.name")) is not None:
        hyper = dict(values.get("training", {}).get("hyper", {}))
        hyper["slope"] = _shared(hyper.get("slope", {}), str(slope))
        values["training"] = {**values.get("training", {}), "hyper": hyper}
    return config.changed(config.from_json(values), rest), objective


def _shared(settings: Mapping[str, Any], slope: str) -> dict[str, Any]:
    """Return those settings of one slope that another has, too; all, if there is no such."""
    if slope not in SLOPES:
        return dict(settings)
    known = {field.name for field in fields(SLOPES[slope])}
    return {name: value for name, value in settings.items() if name in known}


def _place(path: str) -> str:
    """Return where a setting of an algorithm is in a description."""
    for part, section in SECTIONS.items():
        if path.startswith(part):
            path = section + path.removeprefix(part)
    return f"{SLOPE}.name" if path == SLOPE else path


def _fitted(before: Any, value: Any) -> Any:
    """Return a value of TOML as the setting has it that was `before`."""
    if isinstance(value, list):
        return tuple(value)
    return float(value) if type(value) is int and type(before) is not int else value
