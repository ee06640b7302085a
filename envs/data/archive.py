"""Arrays on disk: an uncompressed npz that is filled in place, and read without being copied.

Why npz: every numpy opens it, and so does every tool that opens zip. As its
members are stored, not compressed, each lies in the file as plain numbers, 64-byte
aligned, and is mapped into memory where it lies. `metadata.json` beside the arrays
says the schema, and shape, dtype and SHA-256 of each.

A file comes into being under a temporary name in its own folder, at its full size,
so that a disk too small is noticed before the work begins; it gets its name when it
is whole and on the disk.
"""

import hashlib
import json
import os
import secrets
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import IO, Any

import jax
import numpy as np

from mpo.errors import RequestError, place_to_write

SCHEMA = 1
"""Version of the files. A reader refuses any other."""

METADATA = "metadata.json"
_ALIGN = 64
_BLOCK = bytes(2**20)
_LOCAL_HEADER = 30  # bytes before name and extra field
_CRC_AT = 14  # of them, where the CRC-32 is
_ZIP64 = 20  # bytes that zip64 adds to the extra field
_PADDING = 0xD935  # the extra field that zipalign uses


class DatasetError(RequestError):
    """A file that cannot be used as a dataset: which one, what is wrong, and what to do."""


class Writer:
    """Fills the arrays of a file that already has its size, each from the first row on."""

    def __init__(self, file: IO[bytes], path: Path, layout: Mapping[str, Any]):
        """Write zeros in place of all arrays; what fails is said of `path`, the name to be."""
        self._file = file
        self._path = path
        self._left = {name: spec.size * spec.dtype.itemsize for name, spec in layout.items()}
        self._crc = {name: zlib.crc32(_npy_header(spec)) for name, spec in layout.items()}
        self._sha = {name: hashlib.sha256() for name in layout}
        self._layout = layout
        with self._to_disk():
            self._at = _reserve(file, layout)

    def append(self, rows: Mapping[str, np.ndarray]) -> None:
        """Write the next rows of every array."""
        for name, spec in self._layout.items():
            values = np.ascontiguousarray(rows[name])
            if values.dtype != spec.dtype or values.shape[1:] != spec.shape[1:]:
                raise ValueError(
                    f"{name}: {values.dtype}{values.shape} into {spec.dtype}{spec.shape}"
                )
            content = values.reshape(-1).view(np.uint8).data
            if len(content) > self._left[name]:
                raise ValueError(f"{name}: more rows than the {spec.shape[0]} there is room for")
            with self._to_disk():
                self._file.seek(self._at[name])
                self._file.write(content)
            self._at[name] += len(content)
            self._left[name] -= len(content)
            self._crc[name] = zlib.crc32(content, self._crc[name])
            self._sha[name].update(content)

    def seal(self, metadata: Mapping[str, Any]) -> None:
        """Add checksums and metadata, and bring everything to the disk."""
        if short := [name for name, left in self._left.items() if left]:
            raise ValueError(f"rows are missing in {', '.join(short)}")
        arrays = {
            name: {
                "shape": list(spec.shape),
                "dtype": np.dtype(spec.dtype).str,
                "sha256": self._sha[name].hexdigest(),
            }
            for name, spec in self._layout.items()
        }
        about = {"schema": SCHEMA, **metadata, "arrays": arrays}
        with self._to_disk():
            self._finish(about)

    def publish(self, partial: Path) -> None:
        """Give the file, which is called `partial` until now, its name."""
        with self._to_disk():
            partial.replace(self._path)
            _sync(self._path.parent)

    def _finish(self, about: Mapping[str, Any]) -> None:
        with zipfile.ZipFile(self._file, "a") as archive:
            for info in archive.infolist():
                info.CRC = self._crc[info.filename.removesuffix(".npy")]
            text = json.dumps(about, indent=1, ensure_ascii=False)
            archive.writestr(zipfile.ZipInfo(METADATA), text + "\n")
            entries = archive.infolist()[:-1]
        for info in entries:
            self._file.seek(info.header_offset + _CRC_AT)
            self._file.write(struct.pack("<I", info.CRC))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    @contextmanager
    def _to_disk(self) -> Iterator[None]:
        """Say of what fails here which file it was to be, and how large."""
        try:
            yield
        except OSError as error:
            needed = sum(spec.size * spec.dtype.itemsize for spec in self._layout.values())
            size = f"({needed / 1e6:,.1f} MB)"
            what = f"could not write {self._path} {size}: {error.strerror or error}"
            raise OSError(error.errno, what) from error


@contextmanager
def writing(path: Path, layout: Mapping[str, Any], metadata: Mapping[str, Any]) -> Iterator[Writer]:
    """Give a `Writer` for the arrays of `layout`; the file appears when the block ends well.

    Args:
      path: name of the file to be; one that exists is replaced.
      layout: arrays by name, as anything with `shape` and `dtype`, rows along the first axis.
      metadata: plain JSON values.

    Raises:
      RequestError: the folder cannot be written to; nothing has been written.
      OSError: the disk is full, or fails; nothing is left behind.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.partial")
    file = _created(partial, path)
    try:
        writer = Writer(file, path, layout)
        yield writer
        writer.seal(metadata)
        writer.publish(partial)
    finally:
        with suppress(OSError):  # after a failure, of what is left to be written
            file.close()
        partial.unlink(missing_ok=True)


def partials(path: Path) -> list[Path]:
    """Return the unfinished files of `path`: those being written, and those of killed writers."""
    return sorted(path.parent.glob(f".{escape(path.name)}.*.partial"))


def read(path: Path, verify: bool = True) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Map the arrays of a file into memory, read-only, and return them with the metadata.

    What the file says of itself must always agree with what is in it: members,
    shapes, dtypes and sizes. With `verify` every number is read once, and its
    checksum compared.

    Raises:
      DatasetError: there is no such file, or it is truncated, corrupt or of another kind.
    """
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            about = _metadata(archive, path)
            members = {info.filename: info for info in archive.infolist()}
            listed = {f"{name}.npy": said for name, said in about["arrays"].items()}
            if odd := sorted(members.keys() ^ listed.keys() ^ {METADATA}):
                raise ValueError(f"its arrays and its metadata do not agree on {', '.join(odd)}")
            arrays = {
                name.removesuffix(".npy"): _mapped(archive, members[name], said, file)
                for name, said in listed.items()
            }
            for name, values in arrays.items() if verify else ():
                if _sha256(values) != about["arrays"][name]["sha256"]:
                    raise ValueError(f"{name} has not the checksum it should have")
    except DatasetError:
        raise
    except FileNotFoundError as error:
        raise DatasetError(f"{path}: no such file") from error
    except zipfile.BadZipFile as error:
        raise DatasetError(
            f"{path} is no dataset, or is truncated or corrupt: {error}; {_REMEDY}"
        ) from error
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror or error}") from error
    except _CORRUPT as error:
        raise DatasetError(
            f"{path} is corrupt: {str(error) or type(error).__name__}; {_REMEDY}"
        ) from error
    return arrays, about


@dataclass(frozen=True)
class Contents:
    """What a file says of itself.

    Attributes:
      rows: number of comparisons.
      sha256: hash of the checksums of its arrays: two files share it only if they hold the same.
    """

    rows: int
    sha256: str


def contents(path: str | Path) -> Contents:
    """Return what a dataset's file says it holds; only its metadata are read.

    Raises:
      DatasetError: there is no such file, or it is no dataset.
    """
    _, about = read(Path(path), verify=False)
    arrays = about["arrays"]
    sums = json.dumps({name: arrays[name]["sha256"] for name in sorted(arrays)})
    return Contents(arrays["length"]["shape"][0], hashlib.sha256(sums.encode()).hexdigest())


_CORRUPT = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    EOFError,
    RuntimeError,
    struct.error,
)
"""What the parts that read raise, where bytes are not what they should be."""
_REMEDY = "make it again, or copy it again from where it is whole"


def _created(partial: Path, path: Path) -> IO[bytes]:
    with place_to_write(path):
        if path.is_dir():
            raise RequestError(f"cannot write {path}: it is a folder; give the name of a file")
        partial.parent.mkdir(parents=True, exist_ok=True)
        return partial.open("x+b")


def _reserve(file: IO[bytes], layout: Mapping[str, Any]) -> dict[str, int]:
    """Write a whole archive of zeros, and return where the numbers of each array begin."""
    places = {}
    with zipfile.ZipFile(file, "w") as archive:
        for name, spec in layout.items():
            header = _npy_header(spec)
            info = zipfile.ZipInfo(f"{name}.npy")
            before = file.tell() + _LOCAL_HEADER + len(info.filename) + 4 + _ZIP64 + len(header)
            padding = -before % _ALIGN
            info.extra = struct.pack("<HH", _PADDING, padding) + bytes(padding)
            places[name] = before + padding
            left = spec.size * spec.dtype.itemsize
            info.file_size = len(header) + left
            with archive.open(info, "w", force_zip64=True) as member:
                member.write(header)
                while left > 0:
                    left -= member.write(_BLOCK[:left])
    file.flush()
    return places


def _npy_header(spec: Any) -> bytes:
    """Return what stands before the numbers in an npy file; a multiple of 64 bytes."""
    shape, kind = tuple(map(int, spec.shape)), np.dtype(spec.dtype).str
    text = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape!r}, }}"
    padding = " " * (-(10 + len(text) + 1) % _ALIGN)
    body = f"{text}{padding}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(body)) + body


def _metadata(archive: zipfile.ZipFile, path: Path) -> dict[str, Any]:
    if METADATA not in archive.namelist():
        raise DatasetError(
            f"{path} has no {METADATA}: it is no dataset of this package; arrays of your own "
            "become one by `discovery data import` or envs.data.from_arrays"
        )
    if archive.getinfo(METADATA).compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{METADATA} is compressed")
    about = json.loads(archive.read(METADATA))
    if not isinstance(about, dict) or about.get("schema") != SCHEMA:
        found = about.get("schema") if isinstance(about, dict) else None
        raise DatasetError(
            f"{path} has schema {found}, and this version reads {SCHEMA}: "
            "read it with the version that made it, or make it again"
        )
    return about


def _mapped(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, said: Mapping[str, Any], file: IO[bytes]
) -> np.ndarray:
    """Map one array. Its npy header must be the one that what is said of it would get."""
    spec = jax.ShapeDtypeStruct(tuple(said["shape"]), np.dtype(said["dtype"]))
    if info.compress_type != zipfile.ZIP_STORED or spec.dtype.kind not in "fiu":
        raise ValueError(f"{info.filename} is not numbers as they are")
    archive.open(info).close()  # compares the member with what the archive's directory says
    file.seek(info.header_offset)
    name, extra = struct.unpack("<HH", file.read(_LOCAL_HEADER)[-4:])
    file.seek(name + extra, os.SEEK_CUR)
    header, size = _npy_header(spec), spec.size * spec.dtype.itemsize
    if file.read(len(header)) != header or len(header) + size != info.file_size:
        raise ValueError(f"{info.filename} is not the {spec.dtype}{list(spec.shape)} it should be")
    if file.tell() + size > os.fstat(file.fileno()).st_size:
        raise ValueError(f"{info.filename} ends outside the file")
    return np.memmap(file, spec.dtype, "r", file.tell(), spec.shape)


def _sha256(values: np.ndarray) -> str:
    return hashlib.sha256(values.reshape(-1).view(np.uint8).data).hexdigest()


def _sync(folder: Path) -> None:
    """Bring the folder's new entry to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
