"""Pytrees in npz files: leaves by path, checked against what was expected, replaced whole."""

import hashlib
import io
import os
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array


class Template(NamedTuple):
    """What a file should hold: the structure of a tree; shape and dtype of each leaf, by name."""

    structure: Any
    leaves: Mapping[str, Any]


class Misfit(ValueError):
    """A file that holds no such tree: it is damaged, or other arrays are in it."""


def pack(tree: object) -> bytes:
    """Return the content of an npz file that holds the leaves of `tree`.

    Nothing is compressed: parameters hardly shrink, and a file can then be held to hold
    every byte it claims.
    """
    leaves: dict[str, Any] = {name: np.asarray(_plain(leaf)) for name, leaf in named(tree)}
    buffer = io.BytesIO()
    np.savez(buffer, **leaves)
    return buffer.getvalue()


def template(make: Callable[..., object], *arguments: Any) -> Template:
    """Return the template of the trees that `make(*arguments)` returns; nothing is computed."""
    seen = []

    def traced(*arguments: Any) -> list[Array]:
        tree = make(*arguments)
        seen.append((jax.tree.structure(tree), [name for name, _ in named(tree)]))
        return jax.tree.leaves(tree)

    leaves = jax.eval_shape(traced, *arguments)
    structure, names = seen[-1]
    return Template(structure, dict(zip(names, leaves, strict=True)))


def unpack(content: bytes, like: Template) -> Any:
    """Return the tree in `content`; anything in it that differs from `like` is a `Misfit`."""
    saved = arrays(content, {n: jax.eval_shape(_plain, leaf) for n, leaf in like.leaves.items()})
    leaves = [_restored(saved[name], leaf) for name, leaf in like.leaves.items()]
    return jax.tree.unflatten(like.structure, leaves)


def arrays(content: bytes, like: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return the arrays of an npz file by name; shapes and dtypes must be those of `like`.

    Each header is compared before its array is read, so that no file makes anybody hold
    more memory than `like` says.

    Raises:
      Misfit: the file is damaged, or holds something else.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [name.removesuffix(".npy") for name in archive.namelist()]
            if odd := sorted({*members} ^ like.keys()):
                raise Misfit(
                    f"it does not have the arrays that were expected: see {', '.join(odd)}"
                )
            return {name: _array(archive, name, spec) for name, spec in like.items()}
    except Misfit:
        raise
    # The readers of zip, zlib and npy answer odd bytes with more than a dozen kinds of error.
    except Exception as error:
        raise Misfit(f"it is damaged: {str(error) or type(error).__name__}") from error


def replace(path: Path, content: bytes) -> None:
    """Write a file whole: an interruption leaves the previous one, never half of a new one.

    One process at a time may write a file.
    """
    new = partial(path)
    try:
        with new.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def partial(path: Path) -> Path:
    """Return where a file is until it is whole; a process that is killed may leave it there."""
    return path.with_name(path.name + ".partial")


def digest(parts: Iterable[str | np.ndarray]) -> str:
    """Return the SHA-256 of texts, and of the numbers of arrays, one after another."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part.encode() if isinstance(part, str) else part.tobytes())
    return found.hexdigest()


def named(tree: object) -> list[tuple[str, Any]]:
    """Return the leaves of a tree with their names: the path to each, `potential.weights.0`."""
    flat = jax.tree_util.tree_leaves_with_path(tree)
    return [(jax.tree_util.keystr(path, simple=True, separator="."), leaf) for path, leaf in flat]


def _is_key(leaf: Any) -> bool:
    return bool(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key))


def _plain(leaf: Any) -> Any:
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _restored(saved: np.ndarray, like: Any) -> Array:
    value = jnp.asarray(saved)
    return jax.random.wrap_key_data(value) if _is_key(like) else value


def _array(archive: zipfile.ZipFile, name: str, like: Any) -> np.ndarray:
    with archive.open(f"{name}.npy") as member:
        if np.lib.format.read_magic(member) != (1, 0):
            raise Misfit(f"{name} is of another version of the npy format")
        shape, _, dtype = np.lib.format.read_array_header_1_0(member)
    if (shape, dtype) != (like.shape, like.dtype):
        raise Misfit(f"{name} is {dtype}{list(shape)}, expected {like.dtype}{list(like.shape)}")
    with archive.open(f"{name}.npy") as member:
        values = np.lib.format.read_array(member, allow_pickle=False)
        if member.read(1):
            raise Misfit(f"{name} has more in it than its array")
    return values
