"""Files that others wrote or disks damaged, read by the public doors."""

import dataclasses
import json
import os
import resource
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

import discovery
import mpo
from benchmarks.faults.damage import Damage, broken, edited, rearranged, renamed
from benchmarks.faults.trials import Ended, Row, attempt, same
from discovery import config
from discovery.evidence import trajectory
from discovery.evidence.tuned_file import read_tuned
from discovery.weights import checkpoints
from envs import agents, data, registry
from envs.agents import Agent, Measurement, Provenance

GROWTH = 400e6
"""Bytes of memory that the trials of a door may add; more is a surprise."""
SAFE = "refused in a line, or read as it was written"
VALID = "refused in a line, or read as a valid one"


@dataclass(frozen=True)
class Door:
    """A kind of file, and what reads it.

    Attributes:
      name: of the kind.
      make: writes one into a folder, and returns the files that are damaged.
      read: reads it.
      guarded: whether what is read is guarded by a checksum: it is refused, or as it was.
      damages: what is done to each file, by its ending.
    """

    name: str
    make: Callable[[Path], list[Path]]
    read: Callable[[Path], Any]
    guarded: bool
    damages: Mapping[str, tuple[Damage, ...]] = dataclasses.field(
        default_factory=lambda: {
            ".json": (broken, edited, renamed),
            ".toml": (broken, edited),
            ".npz": (broken, broken, rearranged),
        }
    )


def rows(run: Path, folder: Path, trials: int, seed: int = 0) -> Iterator[Row]:
    """Damage every kind of file in turn.

    Args:
      run: a finished run, whose files some doors read.
      folder: to work in, empty.
      trials: of each door.
      seed: of the damages.
    """
    before = os.getcwd()
    for number, door in enumerate(doors(run)):
        own = folder / str(number)
        own.mkdir()
        os.chdir(own)  # where a pickle that is executed would leave its mark
        try:
            promise = SAFE if door.guarded else VALID
            yield Row.of(f"{door.name}: damaged", promise, _ends(door, own, trials, seed))
        finally:
            os.chdir(before)


def _ends(door: Door, folder: Path, trials: int, seed: int) -> Iterator[Ended]:
    rng = np.random.default_rng(seed)
    files = door.make(folder)
    original = {path: path.read_bytes() for path in files}
    expected = door.read(folder)
    memory = _memory()
    for _ in range(trials):
        path = files[int(rng.integers(len(files)))]
        ways = door.damages[path.suffix]
        path.write_bytes(ways[int(rng.integers(len(ways)))](original[path], rng))
        ended = attempt(
            lambda: door.read(folder),
            lambda found: not door.guarded or same(found, expected),
        )
        path.write_bytes(original[path])
        if (folder / "executed").exists():
            (folder / "executed").unlink()
            ended = Ended("surprise", "code in the file was executed")
        yield ended
    if (grown := _memory() - memory) > GROWTH:
        yield Ended("surprise", f"memory grew by {grown / 1e6:.0f} MB")


def _memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def doors(run: Path) -> list[Door]:
    """Return every kind of file that somebody may be given."""
    return [
        Door("an artifact", _artifact, _read_artifact, True),
        Door("an artifact, its checksums made right", _artifact, _read_sealed, False),
        Door("a dataset", _dataset, _read_dataset, True, {".npz": (broken,)}),
        Door("a dataset, its checksums as zip has them right", _dataset, _read_dataset, True,
             {".npz": (rearranged,)}),
        Door("an agent", _agent, lambda f: agents.read(f / "reach-1").params, True),
        Door("arrays to import", _arrays, lambda f: len(data.from_npz(f / "own.npz")), False),
        Door("a description of a run", _descriptions, _read_descriptions, False),
        Door("tuned settings", _copied(run, "tuned.json"),
             lambda f: len(read_tuned(f / "tuned.json").objectives), False),
        Door("a finished run", _copied(run, "results.json", "objective.json", "objective.npz"),
             lambda f: len(discovery.load(f).table().markdown()), False),
        Door("a trajectory of a training", _copied(run, "trajectory.npz"),
             lambda f: trajectory.load(f / "trajectory.npz"), False),
        Door("a path of weights", _weights, _read_weights, False),
    ]  # fmt: skip


def _artifact(folder: Path) -> list[Path]:
    objective = mpo.objective("mpo", psi=mpo.potential("network", role="psi", units=9))
    mpo.save(objective, folder / "it", mpo.Provenance(versions={}, seed=0, task="reach", config={}))
    return [folder / "it.json", folder / "it.npz"]


def _read_artifact(folder: Path) -> Any:
    return mpo.load(folder / "it").objective


def _read_sealed(folder: Path) -> Any:
    """Read an artifact whose checksums whoever damaged it has made right again."""
    about, arrays = folder / "it.json", folder / "it.npz"
    kept = about.read_bytes()
    try:
        about.write_bytes(_sealed(kept, arrays.read_bytes()))
        zeta, _ = mpo.ravel(mpo.load(folder / "it").objective)
    finally:
        about.write_bytes(kept)
    assert np.isfinite(np.asarray(zeta)).all()
    return zeta


def _sealed(about: bytes, arrays: bytes) -> bytes:
    import hashlib

    try:
        held = json.loads(about)
        held["arrays"]["sha256"] = hashlib.sha256(arrays).hexdigest()
        guarded = {name: held.get(name) for name in ("kind", "schema", "objective", "arrays")}
        text = json.dumps(guarded, sort_keys=True, separators=(",", ":"))
        return json.dumps(held | {"sha256": hashlib.sha256(text.encode()).hexdigest()}).encode()
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return about


def _dataset(folder: Path) -> list[Path]:
    data.from_arrays(**_numbers()).save(folder / "d.npz")
    return [folder / "d.npz"]


def _arrays(folder: Path) -> list[Path]:
    np.savez(folder / "own.npz", allow_pickle=False, **_numbers())
    return [folder / "own.npz"]


def _numbers() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "inputs": rng.normal(size=(8, 2, 3, 2)),
        "outputs": rng.normal(size=(8, 2, 3, 1)),
        "length": rng.integers(1, 4, (8, 2)),
        "reward": rng.normal(size=(8, 2)),
    }


def _read_dataset(folder: Path) -> Any:
    found = data.load(folder / "d.npz")
    return {name: np.array(values) for name, values in found.arrays().items()}


def _agent(folder: Path) -> list[Path]:
    params = registry.task("reach").policy.init(jax.random.key(0))
    measured = Measurement(1.0, 0.1, 100)
    about = Provenance("reach", "toy", 1.0, 0, 1000, measured, settings={}, versions={})
    agents.write(Agent(params, about), folder / "reach-1")
    return [folder / "reach-1.json", folder / "reach-1.npz"]


def _descriptions(folder: Path) -> list[Path]:
    from importlib import resources

    paths = []
    for name in ("quick", "quick-regime", "hopper-small-iterative"):
        text = resources.files("discovery.presets").joinpath(f"{name}.toml").read_text()
        paths += [folder / f"{name}.toml", folder / f"{name}.json"]
        paths[-2].write_text(text)
        paths[-1].write_text(json.dumps(config.preset(name).as_json()))
    return paths


def _read_descriptions(folder: Path) -> Any:
    """Read them all; a valid one is written and read back the same."""
    found = [config.from_file(path) for path in sorted(folder.glob("quick*.*"))]
    found += [config.from_file(path) for path in sorted(folder.glob("hopper*.*"))]
    for one in found:
        assert config.from_json(json.loads(json.dumps(one.as_json()))) == one
    return found


def _copied(run: Path, *names: str) -> Callable[[Path], list[Path]]:
    def make(folder: Path) -> list[Path]:
        for path in run.iterdir():
            if path.is_file():
                (folder / path.name).write_bytes(path.read_bytes())
        return [folder / name for name in names]

    return make


def _weights(folder: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    held = {"kernel": rng.normal(size=(6, 4, 3)), "bias": rng.normal(size=(6, 3))}
    checkpoints.save(folder / "path", held)
    return sorted((folder / "path").iterdir())


def _read_weights(folder: Path) -> Any:
    from discovery.weights import analyse

    return analyse([folder / "path"], layers=False)
