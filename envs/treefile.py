"""Pytrees in npz files: leaves by path, checked against what was expected, replaced whole."""

import io
import os
import zipfile
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

Tree = TypeVar("Tree")


class Misfit(ValueError):
    """A file that holds no such tree: it is damaged, or other arrays are in it."""


def pack(tree: object) -> bytes:
    """Return the content of an npz file that holds the leaves of `tree`."""
    arrays: dict[str, Any] = {name: np.asarray(_plain(leaf)) for name, leaf in _named(tree)}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def unpack(content: bytes, like: Tree) -> Tree:
    """Return the tree in `content`, of the structure, shapes and dtypes of `like`.

    `like` holds arrays, or what `jax.eval_shape` returns in their place.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            saved = {name: file[name] for name in file.files}
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, zipfile.error) as error:
        raise Misfit(f"it is damaged: {error}") from error
    expected = dict(_named(like))
    if odd := sorted(saved.keys() ^ expected.keys()):
        raise Misfit(f"it does not have the arrays that were expected: see {', '.join(odd)}")
    leaves = [_restore(name, saved[name], leaf) for name, leaf in expected.items()]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def replace(path: Path, content: bytes) -> None:
    """Write a file whole: an interruption leaves the previous one, never half of a new one."""
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _named(tree: object) -> list[tuple[str, Array]]:
    flat = jax.tree_util.tree_leaves_with_path(tree)
    return [(jax.tree_util.keystr(path, simple=True, separator="."), leaf) for path, leaf in flat]


def _is_key(leaf: Array) -> bool:
    return bool(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key))


def _plain(leaf: Array) -> Array:
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _restore(name: str, saved: np.ndarray, like: Array) -> Array:
    expected = jax.eval_shape(_plain, like)
    if saved.shape != expected.shape or saved.dtype != expected.dtype:
        raise Misfit(
            f"{name} is {saved.dtype}{list(saved.shape)}, "
            f"expected {expected.dtype}{list(expected.shape)}"
        )
    value = jnp.asarray(saved)
    return jax.random.wrap_key_data(value) if _is_key(like) else value
