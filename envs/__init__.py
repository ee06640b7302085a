"""The tasks: where responses start, how agents respond, and what responses are worth.

    task = envs.task("hopper")                 # or "ant", "token_bandit", …: envs.tasks()
    start = task.start(key)
    response = task.respond(task.agent("expert"), start, key)
    envs.register_task(Mine)                   # a class of your own

Importing `envs` imports no simulator; a task's own code comes with the first request for it.
"""

from envs.base import Defaults, Response, Task
from envs.registry import register_task, task, tasks

__all__ = ["Defaults", "Response", "Task", "register_task", "task", "tasks"]
