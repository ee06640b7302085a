"""Ways to damage the content of a file: bytes, numbers of JSON and TOML, arrays of npz files."""

import io
import json
import re
import zipfile
from collections.abc import Callable

import numpy as np

Damage = Callable[[bytes, np.random.Generator], bytes]

HOSTILE = (
    "null", "NaN", "-Infinity", "1e999", "-1", "0", "true", "[]", "{}", '""', "[[]]",
    '"' + "x" * 10_000 + '"', "1" + "0" * 5_000, "1" + "0" * 30, "[" * 50_000, '{"a":' * 50_000,
    '"../../etc/passwd"', '"evil.py"', '"\\u0000"', "[null]", "0.1", '"a\\nb"',
)  # fmt: skip
"""What stands in the place of a value."""

VALUE = re.compile(rb'(?<=[:=,\[])\s*("(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*|true|false|null)')


class Evil:
    """What a pickle in a file would run."""

    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("open('executed', 'w').close()",)


def broken(content: bytes, rng: np.random.Generator) -> bytes:
    """Return a content with bits flipped, a part cut off, lost, doubled, zeroed or made up."""
    place, size = (int(n) for n in rng.integers(0, len(content), 2))
    part = slice(place, place + 1 + size // 8)
    kind = int(rng.integers(8))
    if kind <= 2:
        changed = bytearray(content)
        for at in rng.integers(0, len(content), int(rng.integers(1, 9))):
            changed[at] ^= 1 << int(rng.integers(8))
        return bytes(changed)
    if kind == 3:
        return content[:place]
    if kind == 4:
        return content[: part.start] + content[part.stop :]
    if kind == 5:
        return content[: part.stop] + content[part.start :]
    if kind == 6:
        return content[: part.start] + bytes(len(content[part])) + content[part.stop :]
    return content[:place] + rng.bytes(1 + size // 8)


def edited(content: bytes, rng: np.random.Generator) -> bytes:
    """Return a text of JSON or TOML with another value in the place of one, or more."""
    for _ in range(int(rng.integers(1, 3))):
        places = list(VALUE.finditer(content))
        if not places:
            return broken(content, rng)
        chosen = places[int(rng.integers(len(places)))]
        value = HOSTILE[int(rng.integers(len(HOSTILE)))].encode()
        content = content[: chosen.start(1)] + value + content[chosen.end(1) :]
    return content


def renamed(content: bytes, rng: np.random.Generator) -> bytes:
    """Return JSON with an entry of one of its tables lost, doubled in another, or renamed."""
    value = json.loads(content)
    tables = [value]
    for one in tables:
        inner = one.values() if isinstance(one, dict) else one
        tables += [each for each in inner if isinstance(each, dict | list) and each]
    table = tables[int(rng.integers(len(tables)))]
    keys = list(table) if isinstance(table, dict) else list(range(len(table)))
    key = keys[int(rng.integers(len(keys)))]
    held = table.pop(key)
    if isinstance(table, dict) and rng.integers(2):
        table[f"{key}x"] = held
    return json.dumps(value).encode()


def rearranged(content: bytes, rng: np.random.Generator) -> bytes:
    """Return an npz file with one array of another kind; its checksums as zip has them are right.

    It is not finite, of another shape, dtype or order of bytes, objects, of a header that claims
    more than there is, lost, or there under another name.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    names = [name for name in members if name.endswith(".npy")]
    name = names[int(rng.integers(len(names)))]
    array = np.lib.format.read_array(io.BytesIO(members[name]))
    kind = int(rng.integers(10))
    if kind == 0:
        del members[name]
    elif kind == 1:
        members[f"x{name}"] = members.pop(name)
    elif kind == 2:
        members[name] = _npy(array)[: int(rng.integers(1, len(members[name])))]
    elif kind == 3:
        members[name] = _claiming(array, (2**40,))
    else:
        members[name] = _npy(_other(array, kind))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for member, held in members.items():
            archive.writestr(member, held)
    return buffer.getvalue()


def _other(array: np.ndarray, kind: int) -> np.ndarray:
    if kind == 4:
        return np.full(array.shape, np.nan)
    if kind == 5:
        return np.full(array.shape, np.inf, np.float32)
    if kind == 6:
        return array[None]
    if kind == 7:
        return array.astype(">f8")
    if kind == 8:
        return np.array([Evil()] * 3, object)
    return np.zeros(array.size * 7 + 1, array.dtype)


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def _claiming(array: np.ndarray, shape: tuple[int, ...]) -> bytes:
    """Return an array whose header claims another shape."""
    buffer = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue() + array.tobytes()
