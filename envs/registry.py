"""The tasks by name. A shipped task's code is imported when it is asked for: brax takes seconds.

@envs.register_task                         # one of your own, from any module
@dataclass(frozen=True)
class Mine(envs.Task): ...
"""

import importlib
import inspect
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeVar

from envs.base import Task
from mpo.errors import RequestError, unknown
from mpo.registering import enter
from mpo.settings import build

K = TypeVar("K", bound=type[Task])


class Entry(NamedTuple):
    """A task's class, or where it is ("module:Class"), and a line about it."""

    target: str | type[Task]
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
    "language": Entry(
        "envs.language:Language", "stories of a small language, by a GPT; judged by its rules"
    ),
    "reach": Entry(
        "envs.toy:Reach", "a point walks to the origin; returns in closed form, for tests"
    ),
}


def register_task(kind: K) -> K:
    """Let a task be found by its `name`, and return the class; a decorator, too.

    The first line of its docstring is shown in lists, its fields are settings, and its
    `defaults` say how data of it are made and how agents are trained in evaluations.

    Raises:
      RequestError: it is no frozen dataclass of a task, an abstract method is missing, or its
        name is taken.
    """
    if not isinstance(kind, type) or not issubclass(kind, Task):
        raise RequestError(f"{kind!r} is no task: derive a class from envs.Task")
    parameters = getattr(kind, "__dataclass_params__", None)
    if parameters is None or not parameters.frozen:
        raise RequestError(f"{kind!r} is no task: put @dataclass(frozen=True) on the class")
    if missing := sorted(getattr(kind, "__abstractmethods__", ())):
        raise RequestError(f"{kind!r} is no task yet: it has no {', '.join(missing)}")
    name = getattr(kind, "name", None)
    entry = Entry(kind, (inspect.getdoc(kind) or "").split("\n", 1)[0])
    known = TASKS[name].target if isinstance(name, str) and name in TASKS else None
    enter(TASKS, "task", name, entry, kind, known)
    return kind


def tasks() -> Mapping[str, str]:
    """Return the name of every task with a line about it; imports none of them."""
    return {name: entry.about for name, entry in TASKS.items()}


def task_class(name: str) -> type[Task]:
    """Return the class of the task `name`; imports the code of this one.

    Raises:
      RequestError: there is no such task.
    """
    if name not in TASKS:
        raise unknown("task", name, TASKS)
    target = TASKS[name].target
    if not isinstance(target, str):
        return target
    module, _, attribute = target.partition(":")
    found: type[Task] = getattr(importlib.import_module(module), attribute)
    return found


def task(name: str, **settings: Any) -> Task:
    """Return the task `name`; `settings` are the fields of its class, such as `horizon`.

    Raises:
      RequestError: the task or a setting is unknown, or a setting is of the wrong
        kind or out of range.
    """
    return build(task_class(name), f"task {name!r}", settings)
