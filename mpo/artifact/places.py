"""Where artifacts are: shipped with the package, in the folder of a run, in files."""

import os
from importlib import resources
from pathlib import Path

from mpo.errors import RequestError

IN_A_RUN = "objective"
"""What the artifact of a run is called in the run's folder."""
SHIPPED = "found/"
"""What the names of shipped artifacts begin with."""

Place = str | os.PathLike[str]


def shipped_names() -> list[str]:
    """Return the names of the artifacts that ship with the package."""
    return sorted(SHIPPED + path.stem for path in _folder().glob("*.json"))


def beside(stem: Path, ending: str) -> Path:
    """Return the file of an artifact with this ending."""
    return Path(f"{stem}{ending}")


def is_place(name: Place) -> bool:
    """Return whether `name` says where an artifact is, rather than what an objective is called."""
    if not isinstance(name, str) or name in shipped_names() or os.path.isdir(name):
        return True
    separated = not name.startswith(SHIPPED) and (os.sep in name or "/" in name)
    return separated or os.path.lexists(beside(_stem(name), ".json"))


def locate(place: Place) -> Path:
    """Return the stem of the files of an artifact, `STEM.json` and `STEM.npz`.

    Args:
      place: name of a shipped artifact, folder of a run, one of the two files, or the stem.

    Raises:
      RequestError: there is none.
    """
    if place in shipped_names():
        return _folder() / str(place).removeprefix(SHIPPED)
    stem = _stem(place)
    for candidate in (Path(place) / IN_A_RUN, stem):
        if os.path.lexists(beside(candidate, ".json")):
            return candidate
    if os.path.isdir(place):
        raise RequestError(
            f"{place} holds no {IN_A_RUN}.json: a run writes it when it ends, so let it finish"
        )
    raise RequestError(f"no objective at {place}: there is no such folder, and no {stem}.json")


def destination(path: Place) -> Path:
    """Return the stem of the files that an artifact is to be written to.

    Raises:
      RequestError: `path` is a folder.
    """
    if os.path.isdir(Path(path)):
        raise RequestError(
            f"cannot write {path}: it is a folder; give a name in it, such as "
            f"{Path(path) / IN_A_RUN}"
        )
    return _stem(path)


def _stem(path: Place) -> Path:
    given = Path(path)
    return given.with_suffix("") if given.suffix in (".json", ".npz") else given


def _folder() -> Path:
    return Path(str(resources.files("mpo.found")))
