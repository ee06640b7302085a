"""Trajectories that other programs recorded, episode after episode: as Minari, or D4RL, has them.

Minari keeps a folder, in whose HDF5 file each episode is a group with arrays of its own; or, of a
dataset that it stores as Arrow or parquet, a folder for each, with a table of its steps. D4RL and
its like have one array for all steps of all episodes, HDF5 or npz, and say at which an episode
ended: `terminals` by what happened, `timeouts` by the clock.
"""

import itertools
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from envs.data.tables import nested
from mpo.errors import RequestError, unknown
from mpo.modules import extra

MINARI, FLAT = ("Minari's folder", "arrays of all steps")
ROLES: Final[Mapping[str, tuple[str, ...]]] = {
    "observations": ("observations", "states", "obs"),
    "actions": ("actions",),
    "rewards": ("rewards",),
    "terminals": ("terminals", "terminations", "dones"),
    "timeouts": ("timeouts", "truncations"),
}
"""Arrays by what they hold, and how they may be called."""

_NEEDED = ("observations", "actions", "rewards")
_ENDS = ("terminals", "timeouts")
_HDF5 = (".hdf5", ".h5")
_MAIN, _GROUP, _ABOUT = "main_data.hdf5", "episode_", "metadata.json"


@dataclass(frozen=True)
class Episode:
    """What happened from one start on.

    Attributes:
      name: to be told of it.
      observations: what was seen before each step, [T, …]; or one more, [T + 1, …].
      actions: what was done, [T, …].
      rewards: what each step earned, [T].
      ended: whether it came to its end, by what happened or by the clock.
    """

    name: str
    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    ended: bool


@dataclass(frozen=True)
class Trajectories:
    """Episodes of a file or folder.

    Attributes:
      path: where they are.
      form: how they are kept.
      episodes: gives them; the clock of those that do not say when it struck is its argument.
    """

    path: Path
    form: str
    episodes: Callable[[int], Iterator[Episode]]


def is_trajectories(path: Path) -> bool:
    """Return whether a file or folder is called, or a npz is filled, as trajectories are."""
    if path.suffix in _HDF5 or _minari(path) is not None or _tabled(path):
        return True
    if path.suffix != ".npz" or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as file:
        names = {Path(name).stem for name in file.namelist()}
    return "inputs" not in names and not names.isdisjoint((*ROLES["actions"], *ROLES["rewards"]))


def trajectories(path: Path, columns: Mapping[str, str] | None = None) -> Trajectories:
    """Open trajectories.

    Args:
      path: a file of arrays of all steps, `.hdf5`, `.h5` or `.npz`; or Minari's file or folder.
      columns: names of arrays by what they hold (`ROLES`), where they are not called that; of an
        array in a group "observations/observation".

    Raises:
      RequestError: it cannot be read; what is wrong in it is raised as its episodes are read.
    """
    names = dict(columns or {})
    for role in names:
        if role not in ROLES:
            raise unknown("array of trajectories", role, ROLES)
    if path.suffix == ".npz":
        return Trajectories(path, FLAT, lambda clock: _flat(path, _npz, names, clock))
    if tabled := _tabled(path):
        return Trajectories(path, MINARI, lambda _: _tables(path, tabled, names))
    inside = _minari(path) or path
    with _hdf5(inside) as file:
        grouped = any(name.startswith(_GROUP) for name in file)
    if grouped:
        return Trajectories(path, MINARI, lambda _: _groups(path, inside, names))
    return Trajectories(path, FLAT, lambda clock: _flat(path, _hdf5, names, clock))


def _minari(path: Path) -> Path | None:
    """Return the file in Minari's folder, if it is one."""
    places = (path / "data" / _MAIN, path / _MAIN)
    return next((place for place in places if place.is_file()), None)


def _tabled(path: Path) -> list[Path]:
    """Return the folders of the episodes that Minari keeps as tables, in their order."""
    for folder in (path / "data", path):
        if (folder / _ABOUT).is_file():
            found = [one for one in folder.iterdir() if one.name.isdecimal() and one.is_dir()]
            return sorted(found, key=lambda one: int(one.name))
    return []


@contextmanager
def _hdf5(path: Path) -> Iterator[Any]:
    reader = extra("h5py", "data", f"{path}")
    if not path.is_file():
        raise RequestError(f"{path}: no such file of trajectories")
    try:
        with reader.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError) as error:
        raise RequestError(f"{path} cannot be read: {error}") from error


@contextmanager
def _npz(path: Path) -> Iterator[Any]:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            yield file
    except RequestError:
        raise
    except Exception as error:  # numpy raises whatever its parts raise
        raise RequestError(f"{path} is no npz file of arrays: {error}") from error


def _groups(path: Path, inside: Path, names: Mapping[str, str]) -> Iterator[Episode]:
    with _hdf5(inside) as file:
        found = [name for name in file if name.removeprefix(_GROUP).isdecimal()]
        for name in sorted(found, key=lambda name: int(name.removeprefix(_GROUP))):
            where = f"{path}, {name}"
            arrays = {role: _array(file[name], role, names, where) for role in ROLES}
            yield _episode(name, where, arrays)


def _tables(path: Path, folders: list[Path], names: Mapping[str, str]) -> Iterator[Episode]:
    for folder in folders:
        name = f"{_GROUP}{folder.name}"
        where = f"{path}, {name}"
        columns, steps = _table(folder, where)
        arrays = {role: _array(columns, role, names, where) for role in ROLES}
        # There is a row for what was seen at the end, too, which has nothing that was done.
        arrays |= {role: values[:steps] for role, values in arrays.items() if role != _NEEDED[0]}
        yield _episode(name, where, arrays)


def _table(folder: Path, where: str) -> tuple[dict[str, np.ndarray], int]:
    """Return the columns of an episode, and how many steps it has."""
    arrow = extra("pyarrow", "data", where)
    parquet = extra("pyarrow.parquet", "data", where)
    try:
        steps = int(json.loads((folder / _ABOUT).read_text())["total_steps"])
        tables = [parquet.read_table(one) for one in sorted(folder.glob("*.parquet"))]
        for one in sorted(folder.glob("*.arrow")):
            with arrow.memory_map(str(one)) as file:
                tables.append(arrow.ipc.open_file(file).read_all())
        table = arrow.concat_tables(tables)
        while any(arrow.types.is_struct(kind) for kind in table.schema.types):
            table = table.flatten()
        columns = {name: table[name].combine_chunks() for name in table.column_names}
        return {name: np.asarray(nested(values)) for name, values in columns.items()}, steps
    except (OSError, arrow.ArrowException, ValueError, KeyError, TypeError) as error:
        raise RequestError(f"{where} cannot be read: {error}") from error


def _episode(name: str, where: str, arrays: Mapping[str, np.ndarray]) -> Episode:
    ends = [arrays[role] for role in _ENDS if _some(arrays[role])]
    seen, done, paid = (arrays[role] for role in _NEEDED)
    if len(done) != len(paid) or len(seen) - len(done) not in (0, 1):
        raise RequestError(
            f"{where} has {len(seen)} observations, {len(done)} actions and {len(paid)} rewards"
        )
    # Without a word of its end, an episode that is kept by itself is taken for whole.
    ended = not ends or any(bool(np.any(values)) for values in ends)
    return Episode(name, seen, done, paid, ended)


def _flat(
    path: Path, reading: Callable[[Path], Any], names: Mapping[str, str], clock: int
) -> Iterator[Episode]:
    with reading(path) as file:
        arrays = {role: _array(file, role, names, f"{path}") for role in ROLES}
    seen, done, paid = (arrays[role] for role in _NEEDED)
    for role, values in arrays.items():
        if len(values) not in (len(paid), 0 if role not in _NEEDED else len(paid)):
            raise RequestError(f"{path}: {role} has {len(values)} steps, and rewards {len(paid)}")
    ends = np.zeros(len(paid), bool)
    for role in _ENDS:
        if _some(arrays[role]):
            ends |= np.asarray(arrays[role], bool).reshape(-1)
    places = (np.flatnonzero(ends) + 1).tolist()
    if not _some(arrays["timeouts"]):
        places = _struck(places, len(paid), clock)
    number = -1
    for number, (first, end) in enumerate(itertools.pairwise([0, *places])):
        cut = slice(first, end)
        yield Episode(f"episode {number}", seen[cut], done[cut], paid[cut], True)
    if (first := places[-1] if places else 0) < len(paid):
        yield Episode(f"episode {number + 1}", seen[first:], done[first:], paid[first:], False)


def _struck(ends: list[int], steps: int, clock: int) -> list[int]:
    """Return where episodes end that the clock ends, too."""
    found: list[int] = []
    first = 0
    for end in ends if steps in ends[-1:] else [*ends, steps]:
        found += range(first + clock, end, clock)
        if end != steps or steps in ends[-1:] or (end - first) % clock == 0:
            found.append(end)
        first = end
    return found


def _some(values: np.ndarray) -> bool:
    return values.size > 0


def _array(file: Any, role: str, names: Mapping[str, str], where: str) -> np.ndarray:
    """Return an array by its role; an empty one where it is not there and need not be."""
    usual = (names[role],) if role in names else ROLES[role]
    there = [name for name in usual if name in file]
    if not there:
        if role not in _NEEDED and role not in names:
            return np.zeros(0, bool)
        raise RequestError(
            f"{where} has no array {usual[0]!r}, only {', '.join(file)}: say which holds it, "
            f"{role}=NAME"
        )
    found = file[there[0]]
    if not hasattr(found, "shape"):
        first = next(iter(found), "")
        raise RequestError(
            f"{where}: {there[0]} is a group of {', '.join(found)}: say which is meant, "
            f"{role}={there[0]}/{first}"
        )
    values = np.asarray(found[()])
    if values.dtype.kind not in ("fiu" if role in _NEEDED else "biuf") or not values.ndim:
        raise RequestError(
            f"{where}: {role} is {values.dtype}{[*values.shape]}: it must be numbers"
        )
    if role == "rewards":
        values = values.reshape(-1) if values.size == len(values) else values
        if values.ndim > 1:
            raise RequestError(
                f"{where}: rewards is of shape {[*values.shape]}: it must be [steps]"
            )
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        step = int(np.argwhere(~np.isfinite(values))[0][0])
        raise RequestError(f"{where}, step {step}: {role} has a number that is not finite")
    return values
