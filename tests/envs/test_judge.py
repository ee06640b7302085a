import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.judge import LEVELS, Judge, calibrated, rank, temperature
from mpo.errors import RequestError
from tests.refusals import Meant, refusal


def rankings(judge, returns, draws=20_000, seed=0):
    keys = jax.random.split(jax.random.key(seed), draws)
    returns = jnp.asarray(returns, jnp.float32)
    return np.asarray(many(keys, returns, judge.temperature, judge.flip))


many = jax.jit(jax.vmap(rank, (0, None, None, None)))


def within(share, expected, draws, deviations=4.0):
    return abs(share - expected) <= deviations * math.sqrt(expected * (1 - expected) / draws) + 1e-9


@pytest.mark.parametrize(("p", "eta"), [(0.95, 101.9), (0.85, 173.0), (0.75, 273.1)])
def test_calibration_is_that_of_the_paper(p, eta):
    assert calibrated(2100.0, 1800.0, p) == pytest.approx(eta, abs=0.05)
    assert Judge(calibrated(2100.0, 1800.0, p)).prefers(2100.0, 1800.0) == pytest.approx(p)


def test_levels_go_from_never_wrong_to_often_wrong():
    at = [Judge(temperature(name)).prefers(2100.0, 1800.0) for name in LEVELS]
    assert at == pytest.approx([1.0, 0.95, 0.85, 0.75])


@pytest.mark.parametrize(
    ("level", "flip"),
    [
        ("perfect", 0.0),
        ("perfect", 0.1),
        ("low", 0.0),
        ("medium", 0.1),
        ("high", 0.5),
        ("high", 1.0),
    ],
)
def test_pairs_are_ranked_by_bradley_terry_and_flips(level, flip):
    judge = Judge(temperature(level), flip)
    first = rankings(judge, [2100.0, 1800.0])[:, 0]
    assert within(np.mean(first == 0), float(judge.prefers(2100.0, 1800.0)), len(first))


def test_many_are_ranked_by_plackett_luce():
    returns, eta = np.array([1.0, 0.3, -0.5]), 0.7
    ranked = rankings(Judge(eta), returns)
    weight = np.exp(returns / eta)
    for order in itertools.permutations(range(3)):
        left, expected = weight.sum(), 1.0
        for i in order:
            expected, left = expected * weight[i] / left, left - weight[i]
        share = np.mean(np.all(ranked == np.array(order), axis=1))
        assert within(share, expected, len(ranked)), order


def test_every_pair_of_many_is_bradley_terry():
    returns, judge = np.array([2100.0, 1800.0, 900.0, 1900.0]), Judge(calibrated(p=0.75), 0.2)
    place = np.argsort(rankings(judge, returns), axis=1)
    for a, b in itertools.combinations(range(4), 2):
        share = np.mean(place[:, a] < place[:, b])
        assert within(share, float(judge.prefers(returns[a], returns[b])), len(place)), (a, b)


def test_a_perfect_judge_decides_ties_at_random():
    ranked = rankings(Judge(None), [3.0, 5.0, 3.0, 3.0])
    assert np.all(ranked[:, 0] == 1)
    for place, response in itertools.product((1, 2, 3), (0, 2, 3)):
        assert within(np.mean(ranked[:, place] == response), 1 / 3, len(ranked))


@pytest.mark.parametrize("eta", [None, 1e-30, 1.0, 1e30])
def test_a_ranking_is_always_a_permutation(eta):
    magnitudes = 10.0 ** np.random.default_rng(0).uniform(-30, 30, (500, 4))
    returns = jnp.asarray(magnitudes * np.array([1, -1, 1, 0]), jnp.float32)
    keys = jax.random.split(jax.random.key(0), len(returns))
    orders = np.asarray(jax.vmap(Judge(eta).rank)(keys, returns))
    assert np.all(np.sort(orders, axis=1) == np.arange(4))


def test_a_tiny_temperature_ranks_by_return_without_overflow():
    ranked = rankings(Judge(1e-30), [-1e9, 5e9, 2e9], draws=100)
    assert np.all(ranked == np.array([1, 2, 0]))


@given(a=st.floats(-1e4, 1e4), b=st.floats(-1e4, 1e4), flip=st.floats(0, 1))
def test_preferences_of_a_pair_add_up(a, b, flip):
    for eta in (None, 0.1, 100.0):
        judge = Judge(eta, flip)
        assert judge.prefers(a, b) + judge.prefers(b, a) == pytest.approx(1.0)


@pytest.mark.parametrize("eta", [0.0, -1.0, math.nan, math.inf])
def test_what_is_no_temperature_is_refused(eta):
    with pytest.raises(RequestError, match="'temperature' of the judge must be"):
        Judge(eta)


@pytest.mark.parametrize("flip", [-0.1, 1.1, math.nan])
def test_what_is_no_share_is_refused(flip):
    with pytest.raises(RequestError, match="'flip' of the judge must be"):
        Judge(flip=flip)


@pytest.mark.parametrize(
    ("a", "b", "p"), [(1.0, 1.0, 0.9), (1.0, 2.0, 0.9), (2.0, 1.0, 0.5), (2.0, 1.0, 1.0)]
)
def test_impossible_calibrations_are_refused(a, b, p):
    with pytest.raises(RequestError, match="calibrated"):
        calibrated(a, b, p)


def test_an_unknown_level_is_refused():
    with refusal(Meant("medium")):
        temperature("mediun")
