"""The inner loop: train agents under an objective, one or a population of them.

    params, metrics = train(objective, source, policy, key, hyper(updates=2000))

`train` is a pure function of pytrees. Objectives of one structure, seeds and learning rates
are batched by `jax.vmap`, or by `population`, which also spreads them over devices.
"""

from mpo.train.fresh import Moments, fresh, moments
from mpo.train.hyper import Hyper, hyper
from mpo.train.loop import train
from mpo.train.metrics import Metrics
from mpo.train.optimizer import OPTIMIZERS, SCHEDULES
from mpo.train.population import WAYS, population, replicated
from mpo.train.reference import Referenced, referenced
from mpo.train.snapshots import snapshots, updates_before
from mpo.train.source import Batch, Policy, Source

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "WAYS",
    "Batch",
    "Hyper",
    "Metrics",
    "Moments",
    "Policy",
    "Referenced",
    "Source",
    "fresh",
    "hyper",
    "moments",
    "population",
    "referenced",
    "replicated",
    "snapshots",
    "train",
    "updates_before",
]
