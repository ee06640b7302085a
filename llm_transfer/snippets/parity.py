"""The proof that goes with a snippet: its text, executed, against the objective it was made from.

Values and both gradients are compared at every point of `points`, in double and in single
precision; of NumPy, which has no gradients, values. An error is relative where a number is above
one in size, absolute below.

Some points are ill-conditioned: a margin of two log-probabilities of -10,000 is lost in
single precision, whoever computes it. They show themselves: moving the *inputs* of the
objective by a unit in the last place moves its own result by more than the tolerance. There,
a snippet is held to a few times that movement instead, and the points are counted.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from llm_transfer.snippets.dialect import JAX, LOWEST
from llm_transfer.snippets.function import execute, function
from mpo.comparison import Comparison
from mpo.expressions import INPUTS, Expression, expression, in_double
from mpo.expressions.objectives import LOG_PROBABILITIES
from mpo.logspace import LOWEST_INVERTED
from mpo.objectives import Objective

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
        for name in (f"{kind}_{side}" for kind in LOG_PROBABILITIES for side in "wl"):
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

    def written_by(log_pi_: np.ndarray) -> np.ndarray:
        return np.where(rng.random(shape) < 0.8, log_pi_ + rng.normal(0, 3, shape), log_pi())

    log_w, log_l = log_pi(), log_pi()
    near = {"logp_w": log_w, "logp_l": log_l}
    return near | {
        "len_w": rng.integers(0, 500, shape).astype(float),
        "len_l": rng.integers(0, 500, shape).astype(float),
        "ref_logp_w": written_by(log_w),
        "ref_logp_l": written_by(log_l),
        "reward_w": rng.normal(0, 3, shape),
        "reward_l": rng.normal(0, 3, shape),
        "progress": rng.choice([0.0, 0.25, 0.5, 1.0, *rng.random(8)], shape),
        "sampled_logp_w": written_by(log_w),
        "sampled_logp_l": written_by(log_l),
        "credit_w": rng.normal(0, 3, shape),
        "credit_l": rng.normal(0, 3, shape),
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
        "sampled_logp_w": np.where(far > 0, -30.0, log_w),
        "sampled_logp_l": np.where(far > 0, -1.0, log_l),
        "credit_w": np.sign(gap),
        "credit_l": -np.sign(gap),
        "progress": np.resize((0.0, 1.0, 0.5), log_w.shape),
    }


Loss = Callable[..., Any]

# Each program runs once: what counts is the time to compile it, halved on a network by this.
_COMPILER: Final = {"xla_backend_optimization_level": 0}


class Evaluated(NamedTuple):
    """Losses, shape [N], and their gradients by log π of chosen and rejected, shape [N, 2].

    There are none of a library that has no gradients: shape [N, 0].
    """

    values: np.ndarray
    gradients: np.ndarray


def of_objective(objective: Objective, points: Points, dtype: type[np.floating]) -> Evaluated:
    """Evaluate the objective of `mpo`, computed in `dtype`."""

    def loss(numbers: Objective, logp: tuple[Any, Any], given: dict[str, Any]) -> Any:
        def both(name: str) -> Any:
            usual = jnp.full((), name == "len", dtype)  # of what the formula does not read
            return jnp.stack([given.get(f"{name}_{side}", usual) for side in "wl"])

        others = {name: both(name) for name in objective.needs}
        pair = Comparison(logp=jnp.stack(logp), length=both("len"), **others)
        return numbers(pair, given.get("progress", 0.0))

    with jax.enable_x64(dtype is np.float64):
        numbers = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), objective)
        return _of_jax(loss, numbers, points, dtype)


def of_jax(loss: Loss, points: Points, dtype: type[np.floating]) -> Evaluated:
    """Evaluate a JAX function of one pair, computed in `dtype`."""

    def of_pair(_: None, logp: tuple[Any, Any], given: dict[str, Any]) -> Any:
        return loss(*logp, **given)

    with jax.enable_x64(dtype is np.float64):
        return _of_jax(of_pair, None, points, dtype)


def _of_jax(loss: Loss, numbers: Any, points: Points, dtype: type[np.floating]) -> Evaluated:
    """Evaluate a loss of numbers that all pairs share, of log π, and of the other inputs."""
    given = {name: jnp.asarray(values, dtype) for name, values in points.items()}
    logp = (given.pop("logp_w"), given.pop("logp_l"))
    of_each = jax.vmap(jax.value_and_grad(loss, argnums=1), in_axes=(None, 0, 0))
    values, gradients = jax.jit(of_each, compiler_options=_COMPILER)(numbers, logp, given)
    return Evaluated(np.asarray(values), np.stack(gradients, axis=-1))


def of_torch(loss: Loss, points: Points, dtype: type[np.floating]) -> Evaluated:
    """Evaluate a PyTorch function of pairs, computed in `dtype`."""
    import torch

    given = {name: torch.as_tensor(values.astype(dtype)) for name, values in points.items()}
    logp = [given[name].requires_grad_() for name in ("logp_w", "logp_l")]
    values = loss(**given)
    total = values.sum() + 0 * sum(one.sum() for one in logp)  # of those it does not use: zero
    gradients = torch.autograd.grad(total, logp)
    return Evaluated(values.detach().numpy(), np.stack([one.numpy() for one in gradients], axis=-1))


def of_numpy(loss: Loss, points: Points, dtype: type[np.floating]) -> Evaluated:
    """Evaluate a NumPy function of pairs, computed in `dtype`: values alone."""
    with np.errstate(all="ignore"):  # a branch that is not taken may overflow
        values = loss(**{name: values.astype(dtype) for name, values in points.items()})
    return Evaluated(np.broadcast_to(values, points["logp_w"].shape), np.empty((len(values), 0)))


def of_mlx(loss: Loss, points: Points, dtype: type[np.floating]) -> Evaluated:
    """Evaluate an MLX function of pairs, in single precision whatever `dtype` is."""
    mx = importlib.import_module("mlx.core")

    def total(logp_w: Any, logp_l: Any, given: dict[str, Any]) -> tuple[Any, Any]:
        values = loss(logp_w=logp_w, logp_l=logp_l, **given)
        return values.sum(), values

    given = {name: mx.array(values.astype(np.float32)) for name, values in points.items()}
    logp = [given.pop(name) for name in ("logp_w", "logp_l")]
    (_, values), gradients = mx.value_and_grad(total, argnums=(0, 1))(*logp, given)
    return Evaluated(np.array(values), np.stack([np.array(one) for one in gradients], axis=-1))


Oracle = Callable[[Points, type[np.floating]], Evaluated]

SINGLE: Final = ("mlx",)  # what computes in single precision alone
TOLERANCE: Final[dict[type[np.floating], float]] = {np.float64: 1e-12, np.float32: 1e-5}
EVALUATE: Final[dict[str, Callable[..., Evaluated]]] = {
    "torch": of_torch,
    "jax": of_jax,
    "numpy": of_numpy,
    "mlx": of_mlx,
}
_MOVES, _MULTIPLE = 8, 16.0  # how often inputs are moved; what multiple of it is allowed
_LEAST_SHARE = 0.5  # of the points must be comparable, for a comparison to prove anything


class ParityError(RuntimeError):
    """A snippet does not compute its objective."""


@dataclass(frozen=True)
class Parity:
    """How a snippet compares with its objective in one precision.

    Attributes:
      precision: name of the dtype.
      value, gradient: largest error at the well-conditioned points; of the gradient `None`, where
        the library has none.
      points: how many there are in all.
      ill: how many of them are ill-conditioned.
      beyond: how many of them have a loss or a gradient that is not finite in the objective.
    """

    precision: str
    value: float
    gradient: float | None
    points: int
    ill: int
    beyond: int


def prove(
    loss: Callable[..., Any], language: str, objective: Objective | Expression
) -> tuple[Parity, ...]:
    """Return how `loss` compares with `objective` in each precision.

    Args:
      loss: the executed snippet.
      language: a key of `EVALUATE`.
      objective: what it was made from; a formula that came without one is run in JAX.

    Raises:
      ParityError: an error is above the tolerance.
    """
    formula = objective if isinstance(objective, Expression) else expression(objective)
    at, oracle = points(formula), _oracle(objective)
    return tuple(
        _compare(
            EVALUATE[language](loss, at, dtype),
            *_with_movement(oracle, at, dtype),
            dtype,
            f"the {language} snippet of {formula.name!r}",
        )
        for dtype in TOLERANCE
        if dtype is np.float32 or language not in SINGLE
    )


def _oracle(objective: Objective | Expression) -> Oracle:
    if isinstance(objective, Expression):
        return partial(of_jax, execute(function(objective, JAX)))
    return partial(of_objective, in_double(objective))


def _with_movement(
    oracle: Oracle, at: Points, dtype: type[np.floating]
) -> tuple[np.ndarray, np.ndarray]:
    """Return values and gradients, shape [N, 3], and how far a unit in the last place moves them.

    Two computations that both work in `dtype` can't be expected to agree any better.
    """
    rng = np.random.default_rng(0)
    exact = {name: values.astype(dtype) for name, values in at.items()}
    inputs = [exact]
    for _ in range(_MOVES):
        nudged = {
            name: np.nextafter(values, rng.choice([-np.inf, np.inf], values.shape), dtype=dtype)
            for name, values in exact.items()
        }
        inputs.append({**nudged, **{n: v for n, v in exact.items() if n == "progress"}})
    many = {name: np.concatenate([one[name] for one in inputs]) for name in exact}
    found = _columns(oracle(many, dtype))
    here, *moved = np.split(found, len(inputs))
    with np.errstate(invalid="ignore"):
        return here, np.max(np.abs(np.stack(moved) - here), axis=0)


def _compare(
    found: Evaluated,
    expected: np.ndarray,
    movement: np.ndarray,
    dtype: type[np.floating],
    what: str,
) -> Parity:
    tolerance = TOLERANCE[dtype]
    columns = _columns(found).shape[1]
    expected, movement = expected[:, :columns], movement[:, :columns]
    finite = np.all(np.isfinite(expected), axis=1)
    scale = np.maximum(1, np.abs(expected))
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs(_columns(found) - expected) / scale
        noise = _MULTIPLE * movement / scale
    bad = ~(error <= tolerance)  # NaN too
    excused = bad & (error <= noise) & (noise > tolerance)
    wrong = (bad & ~excused).any(axis=1) & finite
    name = np.dtype(dtype).name
    if wrong.any():
        worst = float(np.max(np.where(wrong[:, None], np.nan_to_num(error, nan=np.inf), 0)))
        raise ParityError(
            f"{what} does not compute its objective in {name}: it is off by {worst:.1e} where "
            f"{tolerance:g} is allowed, at {wrong.sum()} of {len(wrong)} points"
        )
    compared = finite & ~excused.any(axis=1)
    if compared.mean() < _LEAST_SHARE:
        raise ParityError(
            f"{what} cannot be compared with its objective in {name}: {len(finite)} points were "
            f"tried, and the objective is finite and well-conditioned at {compared.sum()} of them"
        )
    largest = np.max(error[compared], axis=0)
    return Parity(
        precision=name,
        value=float(largest[0]),
        gradient=float(largest[1:].max()) if columns > 1 else None,
        points=len(finite),
        ill=int((finite & excused.any(axis=1)).sum()),
        beyond=int((~finite).sum()),
    )


def _columns(found: Evaluated) -> np.ndarray:
    return np.concatenate([found.values[:, None], found.gradients], axis=1)
