"""Recommending: descriptors that find what a recipe put in, a table that ships, far is far."""

import dataclasses
import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery import recommend
from discovery.cli import main
from discovery.leaderboard.board import board
from discovery.recommend import DESCRIPTORS, advise, descriptors, situations
from discovery.recommend.advice import REGIME
from discovery.recommend.descriptors import LEARNT, REWARD, Readings
from discovery.recommend.situations import READS_REWARDS, Measured, written
from envs import data
from mpo.errors import RequestError

ROOT = Path(__file__).parents[2]
PAGE = runpy.run_path(str(ROOT / "docs" / "recommend.py"))
NAMES = [*DESCRIPTORS]
TABLE = situations()


def numbers(described):
    return dict(zip(NAMES, described.numbers.tolist(), strict=True))


# --- descriptors ----------------------------------------------------------------------------------


@given(st.lists(st.integers(-20, 20), min_size=2, max_size=30))
def test_the_border_leaves_the_least_variance_within_groups(scores):
    values = np.array(scores, np.float64)
    border, apart = descriptors._split(values)
    if np.ptp(values) == 0:
        assert (border, apart) == (values[0], 0.0)
        return
    within = [
        (np.var(low) * low.size + np.var(high) * high.size) / values.size
        for cut in np.unique(values)[1:]
        for low, high in [(values[values < cut], values[values >= cut])]
    ]
    assert apart == pytest.approx(1 - min(within) / np.var(values), abs=1e-9)


def kept(rows, kind, tmp_path, **choices):
    return data.make("token_bandit", kind, rows=rows, out=tmp_path / f"{kind}.npz", **choices)


@pytest.mark.parametrize(
    ("kind", "choices", "expected"),
    [
        ("base", {}, {"crossing": 1.0, "reversed": 0.0, "good": 1.0}),
        ("noisy", {"flip": 0.25}, {"crossing": 1.0, "reversed": 0.25, "good": 0.75}),
        ("shuffled", {}, {"crossing": 0.5, "reversed": 0.0, "good": 0.75}),
        ("scarce", {"share": 0.4}, {"crossing": 0.4, "reversed": 0.0, "good": 0.4}),
    ],
)
def test_true_rewards_find_what_the_recipe_put_in(tmp_path, kind, choices, expected):
    dataset = kept(200, kind, tmp_path, **choices)
    flat = np.zeros((200, 2))
    readings = Readings(flat, flat, np.asarray(dataset.length, np.float64))
    found = descriptors.described(dataset, readings, REWARD)
    for name, value in expected.items():
        assert numbers(found)[name] == pytest.approx(value, abs=0.06), name
    assert found.errors.max() < 0.06


def test_a_learnt_reward_finds_flips_that_nobody_told_it_of(tmp_path, capsys):
    hidden = dataclasses.replace(kept(240, "noisy", tmp_path, flip=0.25), reward=None)
    file = str(tmp_path / "hidden.npz")
    hidden.save(file)
    assert main(["recommend", file, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    own = {name: one["value"] for name, one in found["descriptors"].items()}
    assert found["scored_by"] == LEARNT
    assert own["reversed"] == pytest.approx(0.25, abs=0.08)
    assert own["agreement"] == pytest.approx(0.75, abs=0.08)
    assert found["situations"][0]["name"] == "token_bandit: noisy 0.2"
    assert found["losses"][0]["recommended"]
    assert main(["recommend", file]) == 0
    text = capsys.readouterr().out
    assert found["verdict"] in text
    assert all(line in text for line in found["evidence"])


@pytest.mark.slow
def test_continuous_actions_are_read_too(tmp_path):
    dataset = data.make("reach", "base", rows=48, out=tmp_path / "reach.npz", spread=-1.5)
    readings = descriptors.read(dataset)
    assert readings.log_std == pytest.approx(-1.5, abs=0.6)
    assert np.isfinite(readings.score).all()
    assert np.mean(readings.score[:, 0] > readings.score[:, 1]) > 0.7, "of folds it has not seen"


def test_what_cannot_be_read_is_refused_in_a_line(tmp_path, capsys):
    few = kept(8, "base", tmp_path)
    with pytest.raises(RequestError, match="at least"):
        recommend.describe(few)
    whole = np.zeros((40, 2, 5), np.int32)
    numbered = data.from_arrays(np.zeros((40, 2, 5, 3), np.float32), whole)
    with pytest.raises(RequestError, match="whole numbers"):
        recommend.describe(numbered)
    assert main(["recommend", str(tmp_path / "base.npz"), "--action", "median"]) == 2
    assert "median" in capsys.readouterr().err


# --- the table that ships -------------------------------------------------------------------------


def test_the_table_is_what_the_leaderboard_measured():
    whole = board()
    for one in TABLE:
        ground = next(ground for ground in whole.grounds if ground.name == one.task)
        fault = next(fault for fault in whole.faults if fault.name == one.fault)
        for action, worth in one.expert.items():
            again = PAGE["_earned"](whole, ground, fault, action, worth)
            assert {n: own.as_json() for n, own in again.items()} == {
                n: own.as_json() for n, own in one.earned[action].items()
            }


def test_a_table_that_is_read_back_is_the_same():
    again = tuple(map(Measured.from_json, json.loads(written(TABLE))))
    assert written(again) == written(TABLE)


@pytest.mark.parametrize("by", [LEARNT, REWARD])
def test_every_draw_is_nearest_to_its_own_situation(by):
    for one in TABLE:
        for draw in one.draws[by]:
            mine = dataclasses.replace(one.described(by), numbers=draw, resamples=draw[None])
            advice = advise(mine, TABLE)
            assert advice.nearest.situation is one
            assert advice.like_any


# --- advice ---------------------------------------------------------------------------------------


def test_the_best_is_recommended_and_what_its_interval_does_not_reach_is_not():
    for one in TABLE:
        advice = advise(one.described(LEARNT), TABLE, rewards=True)
        own = {n: e for n, e in one.earned["sampled"].items() if e.group != REGIME}
        best = max(own.values(), key=lambda earned: earned.shares.mean())
        reach = {n for n, earned in own.items() if earned.estimate.high >= best.estimate.low}
        if len(advice.considered) == 1:
            assert {choice.name for choice in advice.recommended} == reach
        assert advice.choices[0].recommended


def test_losses_that_read_rewards_are_for_data_that_have_them():
    described = TABLE[0].described(LEARNT)
    groups = {one.earned.group for one in advise(described, TABLE).choices}
    assert READS_REWARDS not in groups
    assert REGIME not in groups


def test_data_like_nothing_measured_are_said_to_be():
    described = TABLE[0].described(LEARNT)
    odd = described.numbers.copy()
    odd[NAMES.index("ties")] = 0.9
    odd[NAMES.index("longer")] = 0.9
    far = dataclasses.replace(described, numbers=odd, resamples=odd[None])
    assert not advise(far, TABLE).like_any


def test_a_dataset_between_two_situations_gets_what_is_good_in_both():
    one, other = (
        one for one in TABLE if one.task == "token_bandit" and one.fault in ("scarce", "base")
    )
    draws = np.concatenate([one.draws[LEARNT], other.draws[LEARNT]])
    between = dataclasses.replace(
        one.described(LEARNT), numbers=draws.mean(axis=0), resamples=draws
    )
    advice = advise(between, TABLE)
    considered = {near.situation.name for near in advice.considered}
    assert {one.name, other.name} <= considered
    assert all(
        choice.name in near.situation.earned["sampled"]
        for choice in advice.choices
        for near in advice.considered
    )


def test_the_page_is_what_the_results_say():
    assert PAGE["said"]() in (ROOT / "docs" / "recommend.md").read_text()
