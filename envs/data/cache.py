"""The cache: a dataset is made once for each recipe, also when several processes ask at once."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from envs import places
from envs.data import archive
from envs.data.archive import DatasetError
from envs.data.dataset import Dataset, load
from envs.data.recipe import Recipe
from mpo.claim import waited_for


def cache_folder() -> Path:
    """Return where datasets are kept: below $DISCOVERY_CACHE, or the user's cache folder."""
    return places.cache() / "datasets"


def cached(recipe: Recipe, make: Callable[[Path], object], folder: Path | None = None) -> Dataset:
    """Return the dataset of `recipe`, made by `make(path)` unless it is in the cache already.

    One process makes it while others that want the same wait. The lock is the
    kernel's, so one that dies holds up nobody, and what it left unfinished is deleted.
    A file that was damaged since is made anew. One that other versions of the packages, or
    another device, made of the same recipe is taken: `Dataset.about.versions` says which.
    """
    folder = folder or cache_folder()
    path = folder / f"{recipe.task}-{recipe.kind}-{recipe.rows}-{recipe.digest[:16]}.npz"
    if (found := _usable(path, recipe)) is not None:
        return found
    hint = f"set ${places.VARIABLE} to a folder that can be written to"
    with waited_for(path.with_suffix(".lock"), hint):
        if (found := _usable(path, recipe)) is not None:
            return found
        for left in archive.partials(path):
            with suppress(OSError):  # of another user, in a cache that is shared
                left.unlink()
        make(path)
    return load(path, verify=False)


def _usable(path: Path, recipe: Recipe) -> Dataset | None:
    try:
        found = load(path)
    except DatasetError:
        return None
    return found if found.about.recipe == recipe else None
