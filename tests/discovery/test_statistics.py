"""Numbers over seeds, against scipy and against what is known of them."""

import numpy as np
import pytest
import scipy.stats

from discovery.evidence.statistics import difference, mean, number, signed

RNG = np.random.default_rng(0)


def test_a_mean_and_its_standard_error():
    returns = RNG.normal(100, 10, 25)
    found = mean(returns)
    np.testing.assert_allclose(found.mean, returns.mean())
    np.testing.assert_allclose(found.standard_error, scipy.stats.sem(returns))
    assert (found.seeds, found.failed) == (25, 0)


def test_failed_seeds_are_counted_and_not_averaged():
    found = mean(np.array([1.0, np.nan, 3.0, np.inf]))
    assert (found.mean, found.seeds, found.failed) == (2.0, 2, 2)
    assert "2 of 4 failed" in str(found)
    assert np.isnan(mean(np.array([np.nan])).mean)
    assert str(mean(np.array([np.nan, np.inf]))) == "all 2 failed"
    assert str(mean(np.array([3.0]))) == "3"


def test_a_paired_difference_sees_what_the_seeds_share():
    level = RNG.normal(1000, 300, 25)
    found = difference(level + RNG.normal(20, 5, 25), level)
    assert found.low < 20 < found.high
    assert found.high - found.low < 8
    assert found.p < 1e-6


def test_the_test_is_the_paired_t_test():
    a, b = RNG.normal(0, 1, 12), RNG.normal(0.5, 1, 12)
    np.testing.assert_allclose(difference(a, b).p, scipy.stats.ttest_rel(a, b).pvalue)


def test_an_interval_covers_the_truth_about_as_often_as_it_says():
    inside = 0
    for _ in range(200):
        gap = difference(RNG.normal(1, 2, 25), np.zeros(25))
        inside += gap.low <= 1 <= gap.high
    assert 0.88 <= inside / 200 <= 0.99


def test_a_difference_to_itself_is_none():
    same = RNG.normal(0, 1, 5)
    found = difference(same, same)
    assert (found.mean, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_pairs_with_a_failed_seed_are_left_out():
    found = difference(np.array([1.0, np.nan, 5.0, 4.0]), np.array([0.0, 0.0, 4.5, np.nan]))
    np.testing.assert_allclose(found.mean, 0.75)
    assert np.isnan(difference(np.array([np.nan]), np.array([1.0])).mean)


@pytest.mark.parametrize(("value", "text"), [(1234.5, "1,234"), (99.94, "99.9"), (0.1234, "0.123")])
def test_returns_are_written_with_the_digits_they_deserve(value, text):
    assert number(value) == text


def test_a_difference_is_written_with_its_sign():
    assert [signed(v) for v in (-1098.4, 0.0, 0.226, 819.2)] == ["-1,098", "+0", "+0.226", "+819"]
