"""The inner loop: train agents by an algorithm, one or a population of them.

    algorithm = Algorithm(objective=mpo.objective("dpo"), descent=hyper(updates=2000))
    params, metrics = train(algorithm, source, policy, key)

`train` is a pure function of pytrees. Algorithms of one structure and seeds are batched by
`jax.vmap`, or by `population`, which also spreads them over devices.
"""

from mpo.train.algorithm import Algorithm, as_algorithm, stacked
from mpo.train.descent import OPTIMIZERS, SCHEDULES, SLOPES, Descent, hyper, register_slope
from mpo.train.fresh import Moments, fresh, moments
from mpo.train.graders import Function, Graded, Grader, Implied, Learnt, Truth
from mpo.train.metrics import Metrics
from mpo.train.population import WAYS, population, replicated
from mpo.train.reference import Referenced, referenced
from mpo.train.refinement import Refined
from mpo.train.regime import Regime
from mpo.train.renewal import Fixed, Renewal
from mpo.train.responses import Responses
from mpo.train.rounds import descend, replay, snapshots, train, updates_before
from mpo.train.slopes import Backward, Slope
from mpo.train.source import Batch, Policy, Source
from mpo.train.zeroth_order import SPSA, ForwardGradient, Guided, zeroth_order

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "SLOPES",
    "SPSA",
    "WAYS",
    "Algorithm",
    "Backward",
    "Batch",
    "Descent",
    "Fixed",
    "ForwardGradient",
    "Function",
    "Graded",
    "Grader",
    "Guided",
    "Implied",
    "Learnt",
    "Metrics",
    "Moments",
    "Policy",
    "Referenced",
    "Refined",
    "Regime",
    "Renewal",
    "Responses",
    "Slope",
    "Source",
    "Truth",
    "as_algorithm",
    "descend",
    "fresh",
    "hyper",
    "moments",
    "population",
    "referenced",
    "register_slope",
    "replay",
    "replicated",
    "snapshots",
    "stacked",
    "train",
    "updates_before",
    "zeroth_order",
]
