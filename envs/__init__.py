"""The tasks: where responses start, how agents respond, and what responses are worth.

    task = envs.task("hopper")                 # or "ant", "token_bandit", …: envs.tasks()
    start = task.start(key)
    response = task.respond(task.agent("expert"), start, key)
    envs.register_task(Mine)                   # a class of your own

Importing `envs` imports no simulator; a task's own code comes with the first request for it.
"""

from typing import TYPE_CHECKING, Any, Final

from mpo import lazy

if TYPE_CHECKING:
    from envs.base import Defaults, Response, Task
    from envs.registry import register_task, task, tasks

_WHERE: Final = {
    "Defaults": "envs.base",
    "Response": "envs.base",
    "Task": "envs.base",
    "register_task": "envs.registry",
    "task": "envs.registry",
    "tasks": "envs.registry",
}

__all__ = ["Defaults", "Response", "Task", "register_task", "task", "tasks"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return lazy.attribute(__name__, _WHERE, name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
