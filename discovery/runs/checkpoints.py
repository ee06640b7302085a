"""Checkpoints of a search, by orbax: written whole, checked when read, older behind newer."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

from mpo import treefile
from mpo.log import Say

KEEP = 3
"""Checkpoints that are kept: the newest, and those before it to fall back on."""


class Restored(NamedTuple):
    """A checkpoint that was read: the state, and what was noted beside it."""

    state: Any
    about: Mapping[str, Any]


class Checkpoints:
    """The checkpoints in a folder. Only the primary process reads and writes them."""

    def __init__(self, folder: Path) -> None:
        """Open the folder, which is made when the first checkpoint is."""
        logging.getLogger("absl").setLevel(logging.CRITICAL)  # orbax narrates; failures are raised
        alone = ocp.options.MultiprocessingOptions(
            primary_host=jax.process_index(),
            active_processes={jax.process_index()},
            barrier_sync_key_prefix=f"process{jax.process_index()}",
        )
        self._manager = ocp.CheckpointManager(
            folder.absolute(),
            options=ocp.CheckpointManagerOptions(
                max_to_keep=KEEP,
                create=False,
                enable_async_checkpointing=False,
                save_root_metadata=False,
                cleanup_tmp_directories=True,
                multiprocessing_options=alone,
            ),
        )
        self._folder = folder

    def save(self, generation: int, state: Any, about: Mapping[str, Any]) -> None:
        """Write a checkpoint; an interruption leaves those that were there.

        Raises:
          OSError: the disk is full.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        leaves = _leaves(state)
        try:
            saved = self._manager.save(
                generation,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(leaves),
                    about=ocp.args.JsonSave({**about, "sha256": _digest(leaves)}),
                ),
            )
            if not saved:
                raise ValueError("a later one is there already")
        except Exception as error:
            raise OSError(
                f"the checkpoint of generation {generation} could not be written to "
                f"{self._folder}: {_first_line(error)}; those before it are whole, and the same "
                "command continues from there"
            ) from error

    def newest(self, like: Any, say: Say) -> Restored | None:
        """Read the newest checkpoint that is whole; `say` is told of each that is not.

        Args:
          like: a state of the structure, shapes and dtypes expected.
          say: is called with a line.

        Raises:
          RuntimeError: there are checkpoints, and none can be read.
        """
        steps = sorted(self._manager.all_steps(read=True), reverse=True)
        for step in steps:
            try:
                return self._read(step, like)
            except Exception as error:
                aside = self._folder.with_name(f"damaged-checkpoint-{step}")
                say(
                    f"the checkpoint of generation {step} is damaged ({_first_line(error)}): "
                    f"it was moved to {aside.name}, and the one before it is tried"
                )
                _move(self._folder / str(step), aside)
                self._manager.reload()
        if steps:
            raise RuntimeError(
                f"every checkpoint in {self._folder} was damaged: delete the folder of the run "
                "to begin anew"
            )
        return None

    def close(self) -> None:
        """Let go of the folder."""
        self._manager.close()

    def _read(self, step: int, like: Any) -> Restored:
        read = self._manager.restore(
            step,
            args=ocp.args.Composite(state=ocp.args.StandardRestore(), about=ocp.args.JsonRestore()),
        )
        about = dict(read["about"])
        leaves = {name: np.asarray(leaf) for name, leaf in read["state"].items()}
        if about.pop("sha256", None) != _digest(leaves):
            raise ValueError("its numbers do not have the checksum they were saved with")
        wanted = _leaves(like)
        if _shapes(leaves) != _shapes(wanted):
            raise ValueError("it is of another search: its arrays are not those expected")
        structure = jax.tree.structure(like)
        return Restored(jax.tree.unflatten(structure, [leaves[name] for name in wanted]), about)


def _leaves(state: Any) -> dict[str, np.ndarray]:
    return {name: np.asarray(leaf) for name, leaf in treefile.named(state)}


def _shapes(leaves: Mapping[str, np.ndarray]) -> dict[str, tuple[Any, ...]]:
    return {name: (leaf.shape, leaf.dtype.str) for name, leaf in leaves.items()}


def _digest(leaves: Mapping[str, np.ndarray]) -> str:
    """Return a hash of all names, dtypes, shapes and numbers; checkpoints on disk have it."""
    each = [(f"{name} {leaf.dtype.str} {leaf.shape} ", leaf) for name, leaf in leaves.items()]
    return treefile.digest(part for pair in sorted(each, key=lambda one: one[0]) for part in pair)


def _move(old: Path, new: Path) -> None:
    import shutil

    shutil.rmtree(new, ignore_errors=True)
    old.rename(new)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0][:200] or type(error).__name__
