"""What a dataset is like, in a few numbers that need no true reward, each with its error.

A reward model and an imitator (an SFT of the chosen responses) are fitted to the comparisons, in
folds: what they say of a response is never of one they were fitted to. Their architectures and
settings are the same for all data of a kind, so that numbers of two datasets can be compared;
where a file has true rewards, these can take the place of the reward model's.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

import mpo
from envs.data import Dataset, View
from envs.data.summary import pairs, rightness
from mpo.errors import RequestError, unknown
from mpo.policies import GaussianPolicy, MarkovPolicy, StepScores, TokenScores
from mpo.train import Descent, Policy, fresh, hyper, moments, train
from mpo.train.logprob import log_probs
from mpo.train.reference import tabulated

KINDS = TOKENS, CONTINUOUS = ("tokens", "continuous")
"""Kinds of actions; only data of one kind are compared."""
SCORES = LEARNT, REWARD = ("learnt", "reward")
"""What responses are scored by: a reward model of the rankings, or the true rewards in the file."""

DESCRIPTORS: Final = {
    "agreement": "share of pairs that are ranked as they score; ties count half",
    "crossing": "share of pairs of a good and a poor response, of the two groups of scores",
    "reversed": "share of these whose poor response is ranked above the good one",
    "good": "share of chosen responses that are good ones",
    "apart": "share of the variance of scores that lies between good and poor",
    "likelier": "share of crossing pairs whose good response an imitator finds the likelier",
    "range": "log π of a step, 5 to 95 % of responses: nats for each entry of an action",
    "longer": "chosen longer less chosen shorter, as a share of pairs",
    "ties": "share of pairs with equal scores",
}
"""Names of the numbers, and what each is."""

FOLDS = 3
LEAST = 32
"""Comparisons below which nothing is learnt of a dataset."""
_RESAMPLES = 400
_SEGMENT, _CHUNK = 50, 32
_COSINE: Final = {"batch": 32, "schedule": "cosine"}
_IMITATING: Final = {
    TOKENS: {"learning_rate": 0.03, "updates": 500, **_COSINE},
    CONTINUOUS: {"optimizer": "muon", "learning_rate": 0.02, "updates": 300, **_COSINE},
}
_JUDGING: Final = {
    TOKENS: {"learning_rate": 0.03, "updates": 500, **_COSINE},
    CONTINUOUS: {"learning_rate": 3e-3, "updates": 300, **_COSINE},
}
"""How the models of a kind of action are fitted."""
_IMITATION = mpo.objective("sft")
_BRADLEY_TERRY = mpo.objective("closed_form", alpha=0.0, beta=1.0, length_normalise=False)

Told = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Readings:
    """What is read of every response of a dataset.

    Attributes:
      score: how good it is.
      log_prob: mean log π of its steps under the imitator, for each entry of an action, in nats.
      length: its steps or tokens.
      log_std: of the imitator's actions, a mean over their entries; `None` for tokens.
    """

    score: Float[np.ndarray, "N K"]
    log_prob: Float[np.ndarray, "N K"]
    length: Float[np.ndarray, "N K"]
    log_std: float | None = None


@dataclass(frozen=True, eq=False)
class Described:
    """What a dataset is like.

    Attributes:
      kind: of its actions, one of `KINDS`.
      rows: number of comparisons.
      scored_by: one of `SCORES`.
      numbers: the descriptors, in the order of `DESCRIPTORS`.
      resamples: the same of rows drawn with replacement, or of several draws of the data; models
        are not fitted anew.
      log_std: how the fitted imitator's actions spread; `None` for tokens.
    """

    kind: str
    rows: int
    scored_by: str
    numbers: Float[np.ndarray, "descriptors"]
    resamples: Float[np.ndarray, "resamples descriptors"]
    log_std: float | None = None

    @property
    def errors(self) -> Float[np.ndarray, "descriptors"]:
        """Standard errors of the numbers, over resamples."""
        return np.std(self.resamples, axis=0)


def describe(dataset: Dataset, by: str | None = None, told: Told = lambda text: None) -> Described:
    """Return what a dataset is like; a minute for physics, seconds for tokens.

    Args:
      dataset: the comparisons.
      by: what responses are scored by; the true rewards where the file has them, if `None`.
      told: is told what goes on.
    """
    by = by or (LEARNT if dataset.reward is None else REWARD)
    if by not in SCORES:
        raise unknown("score", by, SCORES)
    if by == REWARD and dataset.reward is None:
        raise RequestError("the data have no true rewards: have responses scored by 'learnt'")
    return described(dataset, read(dataset, told), by)


def described(dataset: Dataset, readings: Readings, by: str) -> Described:
    """Return what a dataset of which everything is read is like."""
    if by == REWARD:
        readings = dataclasses.replace(readings, score=np.asarray(dataset.reward, np.float64))
    border, apart = _split(readings.score.reshape(-1))
    rng, rows = np.random.default_rng(0), len(dataset)
    drawn = rng.integers(rows, size=(_RESAMPLES, rows))
    return Described(
        kind=kind_of(dataset),
        rows=rows,
        scored_by=by,
        numbers=_numbers(readings, border, apart, np.arange(rows)),
        resamples=np.stack(
            [
                _numbers(readings, border, _between(readings.score[own], border), own)
                for own in drawn
            ]
        ),
        log_std=readings.log_std,
    )


def kind_of(dataset: Dataset) -> str:
    """Return the kind of a dataset's actions.

    Raises:
      RequestError: they are numbered actions upon observations, of which nothing was measured.
    """
    if not np.issubdtype(dataset.inputs.dtype, np.floating):
        return TOKENS
    if not np.issubdtype(dataset.outputs.dtype, np.floating):
        raise RequestError(
            "the actions are whole numbers upon observations: nothing like that was measured, so "
            "there is nothing to recommend; tokens and continuous actions were"
        )
    return CONTINUOUS


def read(dataset: Dataset, told: Told = lambda text: None) -> Readings:
    """Read every response by models that were fitted to the other folds of the comparisons."""
    rows = len(dataset)
    if rows < LEAST:
        raise RequestError(f"{rows} comparisons say too little: give at least {LEAST}")
    kind = kind_of(dataset)
    imitator, judge = _models(dataset, kind)
    order = np.random.default_rng(0).permutation(rows)
    most = -(-rows // FOLDS)
    score, log_prob = np.zeros((2, rows, dataset.responses))
    spreads = []
    for number, held_out in enumerate(np.array_split(order, FOLDS)):
        told(f"fitting a reward model and an imitator, fold {number + 1} of {FOLDS}")
        # As many comparisons in every fold, so that all are one program.
        fitted = _plain(dataset[np.setdiff1d(order, held_out)[: rows - most]])
        unseen = _plain(dataset[np.resize(held_out, most)])
        key = jax.random.fold_in(jax.random.key(0), number)
        for model, objective, fit, into in (
            (imitator, _IMITATION, _IMITATING, log_prob),
            (judge, _BRADLEY_TERRY, _JUDGING, score),
        ):
            params = _fit(objective, model, fitted, hyper(**fit[kind]), key)
            into[held_out] = np.asarray(_sums(unseen, model, params))[: len(held_out)]
            if isinstance(model, GaussianPolicy):
                spreads.append(float(jnp.mean(model.log_std(params))))
    length = np.asarray(dataset.length, np.float64)
    entries = float(np.prod(dataset.outputs.shape[3:]))
    return Readings(
        score=score,
        log_prob=log_prob / np.maximum(length, 1) / entries,
        length=length,
        log_std=float(np.mean(spreads)) if spreads else None,
    )


def _models(dataset: Dataset, kind: str) -> tuple[Policy, Policy]:
    """Return the architectures of the imitator and of the reward model."""
    if kind == CONTINUOUS:
        sizes = (int(dataset.inputs.shape[-1]), int(np.prod(dataset.outputs.shape[3:])))
        return GaussianPolicy(*sizes), StepScores(*sizes)
    most = max(int(np.max(dataset.inputs)), int(np.max(dataset.outputs)))
    vocabulary = dataset.about.vocabulary or most + 1
    return MarkovPolicy(vocabulary, dataset.steps), TokenScores(vocabulary)


def _plain(dataset: Dataset) -> View:
    """Return a view without rewards; of a context of several tokens, the last."""
    if kind_of(dataset) == TOKENS and dataset.inputs.ndim == 3:
        dataset = dataclasses.replace(dataset, inputs=dataset.inputs[..., -1])
    return dataclasses.replace(dataset, reward=None, ref_logp=None, agent=None, start=()).view()


def _fit(
    objective: mpo.Objective, model: Policy, view: View, descent: Descent, key: PRNGKeyArray
) -> Any:
    steps = isinstance(model, GaussianPolicy | StepScores)
    source = view.cut(min(_SEGMENT, view.steps)) if steps else view
    first, order = jax.random.split(key)
    start = fresh(model, first, moments(source))
    return train(objective, source, model, order, descent, start=start)[0]


@partial(jax.jit, static_argnames=("model",))
def _sums(source: View, model: Policy, params: Any) -> Float[Array, "N K"]:
    return tabulated(source, partial(log_probs, model, params), _CHUNK)


def _split(scores: Float[np.ndarray, "n"]) -> tuple[float, float]:
    """Return the border that leaves the least variance within two groups, and the share without.

    All are good, and nothing lies between groups, where all scores are equal.
    """
    ordered = np.sort(scores)
    if ordered[0] == ordered[-1]:
        return float(ordered[0]), 0.0
    below = np.arange(1, ordered.size)
    sums = np.cumsum(ordered)
    gaps = sums[:-1] / below - (sums[-1] - sums[:-1]) / (ordered.size - below)
    between = below * (ordered.size - below) * np.square(gaps)
    between[ordered[1:] == ordered[:-1]] = -1.0  # equal scores are of one group
    border = float(ordered[1:][np.argmax(between)])
    return border, _between(ordered, border)


def _between(scores: Float[np.ndarray, "*shape"], border: float) -> float:
    """Return the share of the variance of scores that lies between those on and below a border."""
    good, total = scores >= border, float(np.var(scores))
    share = float(np.mean(good))
    if total == 0 or share in (0.0, 1.0):
        return 0.0
    gap = float(np.mean(scores[good]) - np.mean(scores[~good]))
    return share * (1 - share) * gap**2 / total


def _numbers(
    readings: Readings, border: float, apart: float, rows: np.ndarray
) -> Float[np.ndarray, "descriptors"]:
    """Return the descriptors of some rows, in the order of `DESCRIPTORS`."""
    score, log_prob = readings.score[rows], readings.log_prob[rows]
    better, worse = pairs(score)
    upper, lower = better >= border, worse >= border
    likely, unlikely = pairs(log_prob)
    longer, shorter = pairs(readings.length[rows])
    crossing = upper != lower
    return np.array(
        [
            np.mean(rightness(better, worse)),
            np.mean(crossing),
            _share(lower, crossing, empty=0.0),
            np.mean(score[:, 0] >= border),
            apart,
            _share((likely > unlikely) == upper, crossing, empty=0.5),
            np.subtract(*np.quantile(log_prob, (0.95, 0.05))),
            np.mean(np.sign(longer - shorter)),
            np.mean(better == worse),
        ]
    )


def _share(true: Bool[np.ndarray, "n"], of: Bool[np.ndarray, "n"], empty: float) -> float:
    return float(np.mean(true[of])) if of.any() else empty
