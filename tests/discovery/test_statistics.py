"""Numbers over seeds, against scipy and against what is known of them."""

import numpy as np
import pytest
import scipy.stats

from discovery.evidence.statistics import difference, estimate, holm, mean, number, signed

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


@pytest.mark.parametrize("seeds", [3, 4, 8, 15])
def test_few_seeds_have_the_interval_of_student(seeds):
    """A bootstrap of four covers 81 times of a hundred."""
    gaps = RNG.normal(1, 2, (2000, seeds))
    low, high = scipy.stats.t.interval(
        0.95, seeds - 1, gaps.mean(axis=1), scipy.stats.sem(gaps, axis=1)
    )
    for at in range(5):
        found = difference(gaps[at], np.zeros(seeds))
        np.testing.assert_allclose((found.low, found.high), (low[at], high[at]))
    assert 0.93 <= np.mean((low <= 1) & (high >= 1)) <= 0.97


def nested(rng, searches, datasets, agents):
    """Return numbers around 1 in which each level has a luck of its own."""
    return (
        1
        + rng.normal(0, 1, (searches, 1, 1))
        + rng.normal(0, 0.7, (searches, datasets, 1))
        + rng.normal(0, 0.5, (searches, datasets, agents))
    )


@pytest.mark.parametrize(
    ("shape", "times", "unit"),
    [
        ((3, 4, 8), 800, "searches"),
        ((20, 3, 4), 60, "searches"),
    ],
)
@pytest.mark.sweep
def test_an_interval_over_units_covers_the_truth(shape, times, unit):
    """And one over agents, as if they were all of one kind, does not by far."""
    rng = np.random.default_rng(1)
    inside = naive = 0
    for _ in range(times):
        values = nested(rng, *shape)
        found = estimate(values)
        assert (found.unit, found.units, found.values) == (unit, shape[0], values.size)
        inside += found.low <= 1 <= found.high
        low, high = scipy.stats.t.interval(
            0.95, values.size - 1, values.mean(), scipy.stats.sem(values, axis=None)
        )
        naive += low <= 1 <= high
    assert 0.9 <= inside / times <= 0.99
    assert naive / times < 0.7


def test_where_there_is_one_of_a_level_the_next_is_the_unit():
    values = nested(RNG, 1, 4, 8)
    found = estimate(values)
    assert (found.unit, found.units) == ("datasets", 4)
    assert found == estimate(values[0])
    means = values[0].mean(axis=1)
    np.testing.assert_allclose(found.mean, means.mean())
    np.testing.assert_allclose(found.p, scipy.stats.ttest_1samp(means, 0).pvalue)
    assert "4 datasets" in found.said()
    assert estimate(values[0, 0]).unit == "agents"


def test_failed_agents_are_counted_and_a_failed_dataset_is_no_unit():
    values = nested(RNG, 1, 4, 3)[0]
    values[0, 1] = np.nan
    found = estimate(values)
    assert (found.failed, found.units) == (1, 4)
    assert "1 of 12 failed" in str(found)
    values[2] = np.inf
    assert estimate(values).units == 3
    assert "all 12 failed" in str(estimate(np.full((4, 3), np.nan)))


def test_holm_by_its_definition():
    """The least is multiplied by how many there are, the next by one less, and none is below it."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, np.nan, 0.9])[0] == 1.0
    for _ in range(20):
        p = RNG.uniform(0, 0.2, 6)
        found = holm(list(p))
        order = np.argsort(p)
        assert all(found[at] >= p[at] for at in range(6))
        assert list(np.sort(found)) == [found[at] for at in order]
        rejected = 0  # step down: reject while p is below α over those that are left
        while rejected < 6 and p[order[rejected]] <= 0.05 / (6 - rejected):
            rejected += 1
        assert sum(value <= 0.05 for value in found) == rejected


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
