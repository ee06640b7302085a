"""The agents that ship with the package, by name: the task, and the return it was kept for."""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from envs import registry
from envs.agents import files
from envs.agents.agent import Agent, Provenance
from mpo.errors import unknown


def names() -> list[str]:
    """Return what `load` accepts: the shipped agents by task and level, then the roles."""
    shipped = _shipped()
    tasks = dict.fromkeys(name.partition("/")[0] for name in shipped)
    named = (f"{task}/{level}" for task in tasks for level in levels(task, _roles(task)))
    return [*shipped, *(name for name in named if name not in shipped)]


def levels(task: str, roles: Mapping[str, str]) -> tuple[str, ...]:
    """Return the levels of a task's shipped agents, then the roles that one of them has."""
    shipped = _shipped()
    own = [name.partition("/")[2] for name in shipped if name.startswith(f"{task}/")]
    return (*own, *(role for role in roles if whole_name(task, role, roles) in shipped))


def whole_name(task: str, level: str, roles: Mapping[str, str]) -> str:
    """Return the name by task and level of an agent that is called by its level or role."""
    real = roles.get(level, level)
    return real if "/" in real else f"{task}/{real}"


def load(name: str) -> Agent:
    """Return a shipped agent: `load("hopper/900")`, or by role, `load("hopper/expert")`."""
    return files.read(_path(name))


def provenance(name: str) -> Provenance:
    """Return what is known of a shipped agent, without its parameters."""
    return files.read_provenance(_path(name))


def listing(folder: Path | None = None) -> dict[str, Provenance]:
    """Return the provenance of every shipped agent, or of every agent in `folder`."""
    if folder is None:
        return {name: provenance(name) for name in _shipped()}
    found = sorted(path.with_suffix("") for path in folder.glob("*-*.json"))
    return {str(path): files.read_provenance(path) for path in found}


def file_name(task: str, target: float) -> str:
    """Return the name of an agent's files: `hopper-900`."""
    return f"{task}-{target:g}"


def _path(name: str) -> Path:
    real, task = name, name.partition("/")[0]
    if real not in _shipped() and task in registry.TASKS:
        real = whole_name(task, name.partition("/")[2], _roles(task))
    if real not in _shipped():
        raise unknown("agent", name, names())
    return _folder() / real.replace("/", "-")


def _roles(task: str) -> Mapping[str, str]:
    return registry.task_class(task).defaults.roles


def _shipped() -> list[str]:
    return sorted((_name(path) for path in _folder().glob("*.json")), key=_level)


def _folder() -> Path:
    return Path(str(resources.files("envs.agents.shipped")))


def _name(path: Path) -> str:
    return path.stem.replace("-", "/")


def _level(name: str) -> tuple[str, float]:
    task, target = name.split("/")
    return task, float(target)
