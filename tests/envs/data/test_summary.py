import dataclasses
from typing import Any

import numpy as np
import pytest

from envs.data import from_arrays, load, make, statistics
from envs.data.summary import picture
from envs.judge import Judge
from mpo.errors import RequestError


def small(reward, agent=None, **known):
    reward = np.array(reward, np.float32)
    shape = (*reward.shape, 3)
    agents = ("a", "b") if agent is not None else ()
    return from_arrays(
        np.zeros((*shape, 2)), np.zeros((*shape, 1)), reward=reward, agent=agent, agents=agents
    )


def test_what_is_said_of_a_small_dataset():
    found = statistics(small([[3, 1], [1, 2], [5, 5], [9, 1]], np.array([[0, 1]] * 3 + [[1, 1]])))
    assert (found.rows, found.responses, found.steps, found.mean_length) == (4, 2, 3, 3.0)
    assert found.winners.mean == pytest.approx(4.5)
    assert (found.losers.least, found.losers.most) == (1.0, 5.0)
    assert found.losers.std == pytest.approx(np.std([1, 2, 5, 1]))
    assert found.right == pytest.approx(2.5 / 4)
    assert found.expected_right is None
    met = [(m.better, m.worse, m.pairs, m.right) for m in found.meetings]
    assert met == [("a", "b", 3, 0.5), ("b", "b", 1, 1.0)]


def test_all_pairs_of_a_row_count():
    assert statistics(small([[3, 2, 1], [3, 1, 2]])).right == pytest.approx(5 / 6)


def test_without_returns_nothing_is_said_of_them():
    dataset = dataclasses.replace(small([[3, 1]]), reward=None)
    found = statistics(dataset)
    assert [found.winners, found.losers, found.right, found.expected_right] == [None] * 4


def test_labels_are_as_right_as_their_judge(planned, tmp_path):
    planned("shuffled", rows=2000, responses=2, judge=Judge(1.0, 0.1)).write(tmp_path / "d.npz")
    found = statistics(load(tmp_path / "d.npz"))
    assert found.right == pytest.approx(found.expected_right, abs=4 * 0.5 / np.sqrt(2000))
    met = {(m.better, m.worse): m.pairs for m in found.meetings}
    assert met["good", "good"] == met["poor", "poor"] == 500
    assert met["good", "poor"] + met["poor", "good"] == 1000


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_a_picture_is_drawn_without_a_display(tmp_path, suffix, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    path = tmp_path / f"h{suffix}"
    picture(small(np.random.default_rng(0).normal(size=(50, 2))), path)
    assert path.stat().st_size > 5000


def test_a_picture_of_equal_returns_is_drawn(tmp_path):
    picture(small([[1, 1], [1, 1]]), tmp_path / "h.png")


def test_impossible_pictures_are_refused(tmp_path):
    dataset = small([[3, 1]])
    with pytest.raises(RequestError, match=r"must end in .png"):
        picture(dataset, tmp_path / "h.xyz")
    with pytest.raises(RequestError, match="cannot write"):
        picture(dataset, tmp_path / "none" / "h.png")
    (tmp_path / "folder.png").mkdir()
    for name in ("folder.png", "x" * 300 + ".png"):
        with pytest.raises(RequestError, match="cannot write"):
            picture(dataset, tmp_path / name)
    with pytest.raises(RequestError, match="no true returns"):
        picture(dataclasses.replace(dataset, reward=None), tmp_path / "h.png")


def test_what_the_recipe_did_is_counted():
    mixed = make("reach", "noisy+scarce", rows=40, flip=0.25, share=0.5)
    found = statistics(mixed)
    assert (found.flipped, found.expert_rows) == (10, 20)
    assert statistics(mixed[:0:-1]).rows == 39
    own = statistics(small([[3, 1]]))
    assert (own.flipped, own.expert_rows) == (None, None)


def test_a_fingerprint_is_of_every_number():
    first, same = (make("reach", rows=6, cache=None) for _ in range(2))
    assert first.fingerprint == same.fingerprint
    assert len({make("reach", rows=6, seed=seed).fingerprint for seed in range(3)}) == 3
    for name in ("inputs", "outputs", "length", "reward", "agent"):
        values = np.array(getattr(first, name))
        values[-1, -1] += 1
        other: Any = {name: values}
        assert dataclasses.replace(first, **other).fingerprint != first.fingerprint
