"""Pytrees in npz files: leaves by path, checked against what was expected, replaced whole."""

import io
import os
import zipfile
from collections.abc import Callable, Mapping
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
    """Return the content of an npz file that holds the leaves of `tree`."""
    arrays: dict[str, Any] = {name: np.asarray(_plain(leaf)) for name, leaf in _named(tree)}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def template(make: Callable[..., object], *arguments: Any) -> Template:
    """Return the template of the trees that `make(*arguments)` returns; nothing is computed."""
    seen = []

    def traced(*arguments: Any) -> list[Array]:
        tree = make(*arguments)
        seen.append((jax.tree.structure(tree), [name for name, _ in _named(tree)]))
        return jax.tree.leaves(tree)

    leaves = jax.eval_shape(traced, *arguments)
    structure, names = seen[-1]
    return Template(structure, dict(zip(names, leaves, strict=True)))


def unpack(content: bytes, like: Template) -> Any:
    """Return the tree in `content`; anything in it that differs from `like` is a `Misfit`."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            saved = {name: file[name] for name in file.files}
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, zipfile.error) as error:
        raise Misfit(f"it is damaged: {error}") from error
    if odd := sorted(saved.keys() ^ like.leaves.keys()):
        raise Misfit(f"it does not have the arrays that were expected: see {', '.join(odd)}")
    leaves = [_restore(name, saved[name], leaf) for name, leaf in like.leaves.items()]
    return jax.tree.unflatten(like.structure, leaves)


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


def _is_key(leaf: Any) -> bool:
    return bool(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key))


def _plain(leaf: Array) -> Array:
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _restore(name: str, saved: np.ndarray, like: Any) -> Array:
    expected = jax.eval_shape(_plain, like)
    if saved.shape != expected.shape or saved.dtype != expected.dtype:
        raise Misfit(
            f"{name} is {saved.dtype}{list(saved.shape)}, "
            f"expected {expected.dtype}{list(expected.shape)}"
        )
    value = jnp.asarray(saved)
    return jax.random.wrap_key_data(value) if _is_key(like) else value
