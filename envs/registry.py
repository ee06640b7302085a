"""The tasks by name. A task's code is imported when it is first asked for: brax takes seconds.

TASKS["mine"] = Entry("my_module:Mine", "a line about it")     # adds one of your own
"""

import importlib
import inspect
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from envs.base import Task
from mpo.errors import RequestError, unknown
from mpo.settings import build


class Entry(NamedTuple):
    """Where a task's class is, and a line about it."""

    target: str
    about: str


TASKS: Final[dict[str, Entry]] = {
    "hopper": Entry(
        "envs.physics:Hopper", "a one-legged robot runs without falling (11 seen, 3 actions)"
    ),
    "ant": Entry("envs.physics:Ant", "a four-legged robot runs (27 seen, 8 actions)"),
    "three_legged_ant": Entry(
        "envs.physics:ThreeLeggedAnt", "the Ant, made to run without its fourth leg"
    ),
    "token_bandit": Entry(
        "envs.bandit:TokenBandit", "ten tokens of a hundred near a rewarded one; exact answers"
    ),
    "reach": Entry(
        "envs.toy:Reach", "a point walks to the origin; returns in closed form, for tests"
    ),
}


def tasks() -> Mapping[str, str]:
    """Return the name of every task with a line about it; imports none of them."""
    return {name: entry.about for name, entry in TASKS.items()}


def task(name: str, **settings: Any) -> Task:
    """Return the task `name`; `settings` are the fields of its class, such as `horizon`.

    Raises:
      RequestError: the task or a setting is unknown, or a setting is of the wrong
        kind or out of range.
    """
    if name not in TASKS:
        raise unknown("task", name, TASKS)
    module, _, attribute = TASKS[name].target.partition(":")
    factory = getattr(importlib.import_module(module), attribute)
    _check_kinds(factory, name, settings)
    return build(factory, f"task {name!r}", settings)


def _check_kinds(factory: Any, name: str, settings: Mapping[str, Any]) -> None:
    for setting, parameter in inspect.signature(factory).parameters.items():
        if setting not in settings or parameter.default is parameter.empty:
            continue
        value, kind = settings[setting], type(parameter.default)
        accepted = {kind, int} if kind is float else {kind}
        if type(value) not in accepted:
            raise RequestError(
                f"setting {setting!r} of task {name!r} must be {kind.__name__}, not {value!r}"
            )
