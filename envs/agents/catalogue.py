"""The agents that ship with the package, by name: the task, and the return it was kept for."""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from types import MappingProxyType

from envs.agents import files
from envs.agents.agent import Agent, Provenance
from mpo.errors import unknown

ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "hopper/expert": "hopper/2100",
        "ant/expert": "ant/6000",
        "three_legged_ant/expert": "three_legged_ant/3900",
        "three_legged_ant/unadapted": "ant/6000",
    }
)
"""Names by role: the expert of each task, and the Ant that has yet to do without its leg."""


def names() -> list[str]:
    """Return what `load` accepts: the shipped agents by task and level, then the roles."""
    shipped = _shipped()
    return [*shipped, *(role for role, real in ALIASES.items() if real in shipped)]


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
    real = ALIASES.get(name, name)
    if real not in _shipped():
        raise unknown("agent", name, names())
    return _folder() / real.replace("/", "-")


def _shipped() -> list[str]:
    return sorted((_name(path) for path in _folder().glob("*.json")), key=_level)


def _folder() -> Path:
    return Path(str(resources.files("envs.agents.shipped")))


def _name(path: Path) -> str:
    return path.stem.replace("-", "/")


def _level(name: str) -> tuple[str, float]:
    task, target = name.split("/")
    return task, float(target)
