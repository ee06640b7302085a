"""Preference datasets: made from agents with a known fault, or your own; stored, mapped, viewed.

    dataset = data.make("hopper", "noisy", flip=0.1)        # from the cache, if it was made before
    dataset = data.load("mine.npz")                         # mapped, not copied
    dataset = data.from_arrays(inputs, outputs, rank=rank)  # your own comparisons
    dataset = data.from_file("pairs.jsonl", "token_bandit") # JSONL, parquet, trajectories, …
    view = dataset.view(steps=50)                           # on the device, for any population
    batch = view.sample(key, 32)                            # inside jit

The format is in `envs/data/archive.py` (the file) and `envs/data/dataset.py` (the arrays).
"""

from envs.data.archive import Contents, DatasetError, contents
from envs.data.cache import cache_folder, cached
from envs.data.dataset import About, Dataset, View, load
from envs.data.doors import from_file
from envs.data.fit import check_fit
from envs.data.making import Plan, make, plan
from envs.data.own import from_arrays, from_npz
from envs.data.recipe import EXPERT, KINDS, REFERENCE, Author, Kind, Recipe, register_kind
from envs.data.summary import Statistics, statistics
from mpo.train import Batch

__all__ = [
    "EXPERT",
    "KINDS",
    "REFERENCE",
    "About",
    "Author",
    "Batch",
    "Contents",
    "Dataset",
    "DatasetError",
    "Kind",
    "Plan",
    "Recipe",
    "Statistics",
    "View",
    "cache_folder",
    "cached",
    "check_fit",
    "contents",
    "from_arrays",
    "from_file",
    "from_npz",
    "load",
    "make",
    "plan",
    "register_kind",
    "statistics",
]
