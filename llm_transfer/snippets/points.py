"""Where a snippet is held against its objective: inputs drawn at random, and every edge."""

from typing import Final

import numpy as np

from llm_transfer.expressions import INPUTS, Expression
from llm_transfer.snippets.dialect import LOWEST
from mpo.logspace import LOWEST_INVERTED

RANDOM: Final = 640
HIGHEST: Final = 10.0
# Where branches of `mpo.logspace` and of the potentials meet, both sides of x = 1, and the
# ends: a response of thousands of tokens, a density.
EDGES: Final = (
    LOWEST, LOWEST_INVERTED, -30.0, -1.0, float(np.log(0.5)), float(np.log1p(-1e-3)), -1e-6, -1e-12,
    0.0, 1e-6, 1.0, HIGHEST,
)  # fmt: skip
_GAPS: Final = (-1e3, -40.0, 0.0, 40.0, 1e3)  # of rewards

Points = dict[str, np.ndarray]


def points(expression: Expression, seed: int = 0) -> Points:
    """Return values of every input that `expression` needs, shape [N], in double precision.

    What is drawn is log π per token, or of the whole response if the objective takes sums:
    ordinary, tiny, huge, and above zero (a density). The edges are all pairs of `EDGES`, of
    length one, once with the reference at the policy and once far from it.
    """
    rng = np.random.default_rng(seed)
    drawn, edge = _drawn(rng), _edges()
    every = {name: np.concatenate([drawn[name], edge[name]]) for name in INPUTS}
    if expression.length_normalise:
        for name in ("logp_w", "logp_l", "ref_logp_w", "ref_logp_l"):
            every[name] = every[name] * np.maximum(every[f"len_{name[-1]}"], 1)
    return {name: every[name] for name in expression.inputs}


def _drawn(rng: np.random.Generator) -> Points:
    shape = (RANDOM,)

    def log_pi() -> np.ndarray:
        kinds = (
            -rng.uniform(0, 30, shape),
            -np.exp(rng.uniform(np.log(1e-12), np.log(-LOWEST), shape)),
            rng.uniform(0, HIGHEST, shape),
        )
        return np.choose(rng.choice(3, shape, p=(0.6, 0.3, 0.1)), kinds)

    log_w, log_l = log_pi(), log_pi()
    near = {"logp_w": log_w, "logp_l": log_l}
    return near | {
        "len_w": rng.integers(0, 500, shape).astype(float),
        "len_l": rng.integers(0, 500, shape).astype(float),
        "ref_logp_w": np.where(rng.random(shape) < 0.8, log_w + rng.normal(0, 3, shape), log_pi()),
        "ref_logp_l": np.where(rng.random(shape) < 0.8, log_l + rng.normal(0, 3, shape), log_pi()),
        "reward_w": rng.normal(0, 3, shape),
        "reward_l": rng.normal(0, 3, shape),
        "progress": rng.choice([0.0, 0.25, 0.5, 1.0, *rng.random(8)], shape),
    }


def _edges() -> Points:
    log_w, log_l, far = (grid.ravel() for grid in np.meshgrid(EDGES, EDGES, (0.0, 1.0)))
    ones = np.ones_like(log_w)
    gap = np.resize(_GAPS, log_w.shape)
    return {
        "logp_w": log_w,
        "logp_l": log_l,
        "len_w": ones,
        "len_l": ones,
        "ref_logp_w": np.where(far > 0, -30.0, log_w),
        "ref_logp_l": np.where(far > 0, -1.0, log_l),
        "reward_w": gap,
        "reward_l": 0 * ones,
        "progress": np.resize((0.0, 1.0, 0.5), log_w.shape),
    }
