"""Checkpoints of weights on the disk, as streams of numbers: a path need never be in memory.

A folder holds `.npz` files, or folders `checkpoint-N` with `.safetensors` files as transformers and
PEFT write them. The order is that of the last number in each name.
"""

import json
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BufferedIOBase
from pathlib import Path
from typing import Any, Final, cast

import jax
import ml_dtypes
import numpy as np
from jaxtyping import Float

from mpo import treefile
from mpo.errors import RequestError

LEAST: Final = 3
"""Checkpoints in the shortest path: two steps, so that there is one after another."""
_BFLOAT16: Final = np.dtype(ml_dtypes.bfloat16)
_DTYPES: Final = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": _BFLOAT16}
"""What safetensors calls floating numbers; it knows no byte order but the little one."""
_NPY_HEADERS: Final = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


@dataclass(frozen=True)
class Leaf:
    """An array of a checkpoint.

    Attributes:
      file: that holds it.
      shape: of the array.
      dtype: of its numbers.
      open: returns a stream that begins at its first number; the last axis is the fastest.
    """

    file: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    open: Callable[[], BufferedIOBase]

    @property
    def size(self) -> int:
        """The number of its entries."""
        return int(np.prod(self.shape, dtype=np.int64))

    def read(self, stream: BufferedIOBase, count: int) -> Float[np.ndarray, "count"]:
        """Return the next numbers of its stream."""
        with _whole(self.file):
            content = stream.read(count * self.dtype.itemsize)
            if len(content) < count * self.dtype.itemsize:
                raise EOFError("it ends too early")
        return np.frombuffer(content, self.dtype)


@dataclass(frozen=True)
class Checkpoints:
    """A path of weights on the disk.

    Attributes:
      folder: that holds it.
      leaves: the floating arrays of each checkpoint by name, by the checkpoint's number, in order.
        All checkpoints have the same, of the same shapes.
    """

    folder: Path
    leaves: Mapping[int, Mapping[str, Leaf]]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each leaf, by name."""
        return {name: leaf.shape for name, leaf in next(iter(self.leaves.values())).items()}


def save(folder: Path, params: Any, numbers: Sequence[int] | None = None) -> None:
    """Write parameters that have moments on their leading axis as a path: `NUMBER.npz` for each.

    Args:
      folder: to write to.
      params: a pytree of arrays, such as `mpo.train.snapshots` returns.
      numbers: of the moments, from 0 on by default.
    """
    folder.mkdir(parents=True, exist_ok=True)
    held = jax.device_get(params)
    count = len(jax.tree.leaves(held)[0])
    for at, number in enumerate(range(count) if numbers is None else numbers):
        one = jax.tree.map(lambda leaf, at=at: leaf[at], held)
        treefile.replace(folder / f"{number}.npz", treefile.pack(one))


def read(folder: Path) -> Checkpoints:
    """Find the checkpoints of a folder; arrays of integers are left out.

    Raises:
      RequestError: there are too few, one is damaged, or they do not fit each other.
    """
    if not folder.is_dir():
        raise RequestError(f"{folder} is no folder: give one that holds checkpoints")
    files, folders = sorted(folder.glob("*.npz")), sorted(folder.glob("checkpoint-*"))
    if files and folders:
        raise RequestError(f"{folder} has .npz files and checkpoint-N folders: keep them apart")
    found = dict(sorted(_numbered(files or folders).items()))
    if len(found) < LEAST:
        raise RequestError(
            f"{folder} has {len(found)} checkpoints, and a path takes at least {LEAST}: files "
            "NUMBER.npz, or folders checkpoint-NUMBER with .safetensors files"
        )
    leaves = {number: (_npz if files else _safetensors)(path) for number, path in found.items()}
    first = next(iter(found))
    for number, own in leaves.items():
        _fits(found[number], own, found[first], leaves[first])
    return Checkpoints(folder, leaves)


def _numbered(paths: Sequence[Path]) -> dict[int, Path]:
    found: dict[int, Path] = {}
    for path in paths:
        digits = re.findall(r"\d+", path.stem if path.suffix == ".npz" else path.name)
        if not digits:
            raise RequestError(f"{path} has no number in its name, which gives it a place")
        if (number := int(digits[-1])) in found:
            raise RequestError(f"{found[number]} and {path.name} have the same number")
        found[number] = path
    return found


def _fits(
    path: Path, leaves: Mapping[str, Leaf], first: Path, expected: Mapping[str, Leaf]
) -> None:
    """Refuse a checkpoint with other leaves than the first has, or with none."""
    if not leaves:
        raise RequestError(f"{path} has no weights: no array of it is of floating numbers")
    if odd := sorted(leaves.keys() ^ expected.keys()):
        raise RequestError(f"{path} and {first.name} do not have the same leaves: see {odd[0]}")
    for name, leaf in leaves.items():
        if leaf.shape != expected[name].shape:
            raise RequestError(
                f"{path}: {name} is of shape {[*leaf.shape]}, and {[*expected[name].shape]} in "
                f"{first.name}"
            )


def _npz(path: Path) -> dict[str, Leaf]:
    with _whole(path), zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
    found: dict[str, Leaf] = {}
    for name in names:
        with _whole(path):
            stream, shape, by_columns, dtype = _npy(path, name)
            stream.close()
        if dtype.kind != "f" and dtype != _BFLOAT16:
            continue
        if by_columns and len(shape) > 1:
            raise RequestError(
                f"{path}: {name} is stored by columns; save np.ascontiguousarray of it"
            )
        # A pytree that is one array has no name for it.
        found[name or "weights"] = Leaf(path, shape, dtype, partial(_stream, path, name))
    return _filled(found)


def _stream(path: Path, name: str) -> BufferedIOBase:
    return _npy(path, name)[0]


def _npy(path: Path, name: str) -> tuple[BufferedIOBase, tuple[int, ...], bool, np.dtype]:
    """Open an array of an npz file: a stream at its first number, and what its header says."""
    with zipfile.ZipFile(path) as archive:  # an array that is open outlives its archive
        stream = cast(BufferedIOBase, archive.open(f"{name}.npy"))
    shape, by_columns, dtype = _NPY_HEADERS[np.lib.format.read_magic(stream)](stream)
    # A bfloat16 is two bytes without a name to numpy.
    return stream, tuple(shape), by_columns, _BFLOAT16 if dtype == np.dtype("V2") else dtype


def _safetensors(folder: Path) -> dict[str, Leaf]:
    """Find the arrays of all safetensors files in a folder.

    The format is a length of 8 bytes, a header of JSON, and the arrays. Its own library maps files
    into memory, and every page that was read stays there.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise RequestError(f"{folder} has no .safetensors file")
    found: dict[str, Leaf] = {}
    for path in files:
        with _whole(path), path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, path.stat().st_size)))
            for name, about in header.items():
                if name == "__metadata__" or about["dtype"] not in _DTYPES:
                    continue
                begin, end = about["data_offsets"]
                shape, dtype = tuple(map(int, about["shape"])), np.dtype(_DTYPES[about["dtype"]])
                leaf = Leaf(path, shape, dtype, partial(_at, path, 8 + length + begin))
                if end - begin != leaf.size * dtype.itemsize or name in found:
                    raise ValueError(f"{name} is there twice, or of another size than its shape")
                found[name] = leaf
    return _filled(found)


def _at(path: Path, offset: int) -> BufferedIOBase:
    file = path.open("rb")
    file.seek(offset)
    return file


def _filled(leaves: Mapping[str, Leaf]) -> dict[str, Leaf]:
    return {name: leaf for name, leaf in leaves.items() if leaf.size}


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """Say of a file that cannot be read that it is damaged.

    The readers of zip, npy and JSON answer odd bytes with more than a dozen kinds of error.
    """
    try:
        yield
    except Exception as error:
        raise RequestError(
            f"{path} is damaged, or of another format: {str(error) or type(error).__name__}"
        ) from error
