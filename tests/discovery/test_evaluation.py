"""Evaluations: paired seeds, returns that survive an interruption, and a fair chance for each."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import envs
import mpo
from discovery import config
from discovery.config.sections import SEEDS
from discovery.evidence import Store, Table, authors, evaluate, statistics, tune, tuned_file, tuning
from discovery.evidence import evaluation as folder
from discovery.evidence.contest import all_measures, measures
from discovery.evidence.evaluation import Evaluation, earlier, run
from discovery.evidence.returns import BY_MEAN, LOG_STD, RETURN
from discovery.evidence.tuned_file import read_tuned, tuned_into
from discovery.evidence.tuning import BOXES, EACH, KEPT, Tuned, explore
from discovery.host.processes import all_devices, machine
from discovery.host.stopping import Interrupted
from discovery.report.evaluation import page as reported
from discovery.search import situation, streams
from discovery.search.cohort import Cohort, actions
from discovery.search.search import Search
from discovery.search.streams import Purpose
from envs.toy import Reach
from mpo.claim import locked
from mpo.errors import RequestError
from mpo.objectives import OBJECTIVES
from mpo.train import stacked
from tests.discovery.conftest import TINY

KEY = streams.key(Purpose.EVALUATION, 0)


def contestants(*names):
    return tuning.contestants(names, config.from_json(TINY), {})


@pytest.fixture(scope="module")
def ground(datasets):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISCOVERY_CACHE", str(datasets))
        return situation.prepare(config.from_json(TINY), Purpose.EVALUATION, all_devices())


@pytest.mark.sweep
def test_seeds_are_paired(ground):
    """The same objective under two names earns the same, seed by seed; seeds differ."""
    twice = {"a": mpo.objective("sft"), "b": mpo.objective("sft")}
    returns = evaluate(twice, ground, KEY, range(3), 4)
    np.testing.assert_array_equal(returns["a"], returns["b"])
    assert len(set(returns["a"])) == 3


def test_a_seed_earns_the_same_alone_and_among_others(ground):
    some = evaluate(contestants("orpo"), ground, KEY, [1, 4, 9], 4)["orpo"]
    alone = evaluate(contestants("orpo"), ground, KEY, [9], 4)["orpo"]
    np.testing.assert_array_equal(alone, some[2:])


def test_a_learning_rate_of_ones_own_is_used(ground):
    orpo = ground.algorithm(mpo.objective("orpo"))
    still = mpo.paths.put(orpo, "descent.learning_rate", 1e-9)
    returns = evaluate(
        {"default": mpo.objective("orpo"), "same": orpo, "still": still},
        ground, KEY, range(2), 4,
    )  # fmt: skip
    np.testing.assert_array_equal(returns["default"], returns["same"])
    assert np.all(returns["still"] < returns["default"])


@pytest.mark.sweep
def test_what_is_known_is_not_trained_again(ground, tmp_path):
    """An evaluation that broke off goes on; the returns are those of one that did not."""
    path = tmp_path / "returns.csv"
    whole = evaluate(contestants("orpo", "sft"), ground, KEY, range(4), 4)
    evaluate(contestants("orpo"), ground, KEY, range(2), 4, Store(path))
    told = []
    both = evaluate(
        contestants("orpo", "sft"), ground, KEY, range(4), 4, Store(path),
        told=lambda name, done, seeds: told.append((name, done, seeds)),
    )  # fmt: skip
    assert told == [("orpo", 2, 4), ("sft", 0, 4)]
    for name, returns in whole.items():
        np.testing.assert_array_equal(both[name], returns)
    again = evaluate(
        contestants("orpo"), ground, KEY, range(4), 4, Store(path),
        told=lambda name, done, seeds: told.append(("again", done, seeds)),
    )  # fmt: skip
    assert len(told) == 2
    np.testing.assert_array_equal(again["orpo"], whole["orpo"])


def test_a_store_keeps_every_digit_and_what_failed(tmp_path):
    path = tmp_path / "returns.csv"
    Store(path).add('a, "b"', [0, 3], {RETURN: np.array([0.1 + 0.2, np.nan])})
    with path.open("a") as file:
        file.write("a,7,1.2")  # cut off
    store = Store(path)
    assert store.get('a, "b"', 0) == 0.1 + 0.2
    assert np.isnan(store.get('a, "b"', 3))
    assert not store.has("a", 7)
    assert path.read_text().endswith("a,7,1.2")  # a reader leaves a writer's file alone
    store.add("c", [1], {RETURN: np.array([2.0])})
    assert Store(path).get("c", 1) == 2.0


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_store_knows_any_name_again(tmp_path_factory, name):
    path = tmp_path_factory.mktemp("names") / "returns.csv"
    Store(path).add(name, [0], {RETURN: np.array([1.5])})
    Store(path).add(name, [1], {RETURN: np.array([2.5])})
    assert list(Store(path).returns([name], range(2))[name]) == [1.5, 2.5]


def test_a_store_of_returns_alone_takes_further_measures(tmp_path):
    """A file from before there were any is the same, and knows of whom it does not know them."""
    path = tmp_path / "returns.csv"
    path.write_text("objective,seed,return\norpo,0,1.5\norpo,1,\n")
    store = Store(path)
    assert store.has("orpo", 1)
    assert np.isnan(store.get("orpo", 1))
    assert not store.has("orpo", 0, [RETURN, BY_MEAN])
    store.add("orpo", [0], {RETURN: np.array([1.5]), BY_MEAN: np.array([np.inf])})
    assert path.read_text() == (f"objective,seed,return,{BY_MEAN}\norpo,0,1.5,\norpo,1,,-\n")
    again = Store(path)
    assert np.isnan(again.get("orpo", 0, BY_MEAN))
    assert not again.has("orpo", 1, [BY_MEAN])
    assert again.measures(["orpo"]) == (RETURN,)
    assert again.seeds("orpo", BY_MEAN) == [0]


def test_a_file_of_something_else_is_no_store(tmp_path):
    (tmp_path / "returns.csv").write_text("my,own,data\n1,2,3\n")
    with pytest.raises(RequestError, match="holds no returns"):
        Store(tmp_path / "returns.csv")


def test_evaluation_is_disjoint_from_discovery_by_construction(tiny):
    """No seed of one purpose gives a key or a dataset of another, whatever the seeds are."""
    seeds = (0, 1, 2, 2**20 - 1)
    numbers = {
        purpose: {streams.data_seed(purpose, seed) for seed in seeds}
        for purpose in (Purpose.DISCOVERY, Purpose.EVALUATION, Purpose.TUNING)
    }
    assert len(set.union(*numbers.values())) == 3 * len(seeds)
    keys = {
        tuple(np.asarray(jax.random.key_data(streams.key(purpose, seed))).tolist())
        for purpose in Purpose for seed in seeds
    }  # fmt: skip
    assert len(keys) == len(Purpose) * len(seeds)
    for bad in (-1, 2**20):
        with pytest.raises(RequestError, match="seed must be in"):
            streams.key(Purpose.EVALUATION, bad)


def test_a_table_compares_with_its_first_row():
    returns = {"orpo": np.array([1.0, 2.0, 3.0]), "found": np.array([1.5, 2.6, 3.4])}
    table = Table.of(returns, {"expert": 4.0}, {"orpo": "tuned"})
    first, second = table.rows
    assert first.gap is None
    assert second.gap is not None
    np.testing.assert_allclose(second.gap.mean, 0.5)
    text = table.markdown()
    assert "more than orpo" in text
    assert "| orpo | tuned | 2 ± 0.577 |" in text
    assert "| expert |  | 4 |" in text
    assert json.loads(json.dumps(table.as_json()))["rows"][1]["name"] == "found"


def explored(ground, name, worth):
    """Return the points that are tried of an objective where a point is worth what `worth` says."""
    base = ground.algorithm(mpo.objective(name))
    usual = float(ground.descent.learning_rate)
    found = explore(base, usual, lambda some: [worth(point) for point in some], [lambda w: w])
    return base, [point for point, _ in found]


@pytest.mark.sweep
def test_every_objective_gets_as_many_points_and_its_own_settings_first(ground):
    """However many numbers it has, and inside what they may be, whichever point is the best."""
    usual = float(ground.descent.learning_rate)
    fits = [name for name, kind in OBJECTIVES.items() if "credit" not in kind.needs]
    for name in sorted(fits):
        for sign in (-1, 1):  # the best is the greatest or the least of all settings
            base, drawn = explored(ground, name, lambda point, s=sign: s * sum(point.values()))
            assert len(drawn) == len(BOXES) * EACH
            assert mpo.paths.put_all(base, drawn[0]) == base
            for point in drawn:
                algorithm = mpo.paths.put_all(base, point)  # refuses what is out of range
                assert {p: mpo.paths.get(algorithm, p) for p in point} == point
        for path, extent in mpo.paths.tried(base).items():
            values = [point[path] for point in drawn[1:EACH]]
            assert len({*values}) == EACH - 1, f"{name} {path}"
            assert min(values) <= np.median(extent.tried) <= max(values)
        rates = np.array([point["descent.learning_rate"] for point in drawn[:EACH]]) / usual
        assert (rates.min() >= 0.03) & (rates.max() <= 10.0)
        assert rates.min() < 0.1 < 2.0 < rates.max()


@pytest.mark.parametrize("peak", [(0.3, 0.3), (1.0, 1.0), (500.0, 0.3), (0.3, 30.0), (500.0, 30.0)])
def test_points_come_near_to_the_top_of_a_hill_inside_and_beyond_the_ranges(ground, peak):
    usual = float(ground.descent.learning_rate)

    def off(point):
        lam = max(point["objective.lam"], 1e-3)  # no λ at all is as far as can be
        there = (lam / peak[0], point["descent.learning_rate"] / usual / peak[1])
        return float(np.sum(np.log10(there) ** 2))

    _, drawn = explored(ground, "orpo", lambda point: -off(point))
    best = min(off(point) for point in drawn)
    assert best < 0.3, "within half an order of magnitude, in 24 points of two settings"
    if max(peak) > 100:
        assert best < min(off(point) for point in drawn[:EACH])


@pytest.mark.sweep
def test_tuning_measures_every_point_and_the_best_again_on_fresh_agents(ground):
    """By hand: the same agents, and of the best four the one whose fresh agents earn most."""
    key = streams.key(Purpose.TUNING, 0)
    tuned = tune("orpo", ground, key, 2, 4)
    base = ground.algorithm(mpo.objective("orpo"))
    cohort = Cohort(ground, 4)
    drawn = [
        {"objective.lam": trial.settings["lam"], "descent.learning_rate": trial.learning_rate}
        for trial in tuned.trials
    ]
    assert tuned.tried == len(drawn) == len(BOXES) * EACH

    def earned(point, keys):
        one = mpo.paths.put_all(base, point)
        return cohort.earn(stacked([one], each=len(keys)), keys).mean()

    means = [earned(point, jax.random.split(key, 2)) for point in drawn]
    np.testing.assert_allclose([trial.mean.mean for trial in tuned.trials], means, rtol=1e-4)
    best = {at for at, trial in enumerate(tuned.trials) if trial.again is not None}
    assert {*np.argsort(means)[-KEPT:]} == best
    fresh = [jax.random.split(jax.random.fold_in(key, number), 2) for number in (1, 2)]
    again = {at: np.mean([earned(drawn[at], keys) for keys in fresh]) for at in best}
    chosen = max(again, key=lambda at: again[at])
    assert tuned.settings == {"lam": drawn[chosen]["objective.lam"]}
    assert tuned.learning_rate == drawn[chosen]["descent.learning_rate"]
    np.testing.assert_allclose(tuned.mean.mean, again[chosen], rtol=1e-4)
    assert tuned.mean.seeds == 4
    assert mpo.paths.put_all(base, drawn[chosen]) == tuned.algorithm(base)
    assert Tuned.from_json(json.loads(json.dumps(tuned.as_json()))) == tuned


def test_a_best_value_that_is_the_greatest_tried_is_said(ground, monkeypatch):
    def uphill(cohort, base, some, keys, wanted):
        return [{RETURN: np.full((1, len(keys)), point["objective.lam"])} for point in some]

    monkeypatch.setattr(tuning, "tried", uphill)
    assert "lam" in tune("orpo", ground, streams.key(Purpose.TUNING, 0), 1, 1).ends


def test_settings_with_which_an_agent_failed_are_not_chosen(ground, monkeypatch):
    """However well the others did; and where all failed there is still an answer."""

    def lottery(cohort, base, some, keys, wanted):
        fast = [point["descent.learning_rate"] > 0.01 for point in some]
        return [{RETURN: np.array([[100.0, np.nan] if f else [1.0, 1.0]])} for f in fast]

    monkeypatch.setattr(tuning, "tried", lottery)
    tuned = tune("sft", ground, streams.key(Purpose.TUNING, 0), 2, 1)
    assert tuned.learning_rate <= 0.01
    failed = [{RETURN: np.array([[np.nan]])}]
    monkeypatch.setattr(tuning, "tried", lambda c, b, some, keys, wanted: failed * len(some))
    assert tune("sft", ground, streams.key(Purpose.TUNING, 0), 1, 1).mean.failed == 2


@pytest.mark.sweep
def test_tuned_settings_are_written_as_they_are_found(tiny, tmp_path):
    path = tmp_path / "deep" / "tuned.json"
    first = tuned_into(path, tiny, ["sft"], 2, 2, lambda text: None)
    assert read_tuned(path).objectives == first
    both = tuned_into(path, tiny, ["sft", "closed_form"], 2, 2, lambda text: None)
    assert both["sft"] == first["sft"]
    assert read_tuned(path).objectives == both
    held = json.loads(path.read_text())
    sft = held["objectives"]["sft"]
    fast = {"sft": {**sft, "learning_rate": "fast"}}
    kinds: tuple[object, ...] = (fast, {"orpo": {}}, {"orpo": 3}, 1)
    wrong = [json.dumps({**held, "objectives": kind}) for kind in kinds]
    for content in ("", "[]", "{}", json.dumps({"sft": sft}), *wrong):
        path.write_text(content)
        with pytest.raises(RequestError, match="holds no tuned settings"):
            read_tuned(path)


def test_what_was_tuned_by_another_rule_is_tuned_anew(tiny, tmp_path, monkeypatch):
    path, said = tmp_path / "tuned.json", list[str]()
    tuned_into(path, tiny, ["sft", "closed_form"], 2, 2, said.append)
    monkeypatch.setattr(tuning, "RATES", (0.1, 1.0))
    said.clear()
    found = tuned_into(path, tiny, ["sft"], 2, 2, said.append)
    assert any("tuning sft" in text for text in said)
    assert found["sft"].grid["learning rate factors"] == [0.1, 1.0]
    assert read_tuned(path).objectives["closed_form"].grid["learning rate factors"] != [0.1, 1.0]


def test_two_that_tune_into_one_file_lose_nothing(tiny, tmp_path):
    path = tmp_path / "tuned.json"

    def beside(text):
        if text.startswith("tuning sft"):
            tuned_into(path, tiny, ["closed_form"], 2, 2, lambda text: None)

    tuned_into(path, tiny, ["sft"], 2, 2, beside)
    assert {*read_tuned(path).objectives} == {"sft", "closed_form"}


@pytest.mark.sweep
def test_two_that_write_one_file_at_once_lose_nothing(tiny, tmp_path, monkeypatch):
    """Each names an objective at a time, so that both are nearly always at the file."""
    path = tmp_path / "tuned.json"
    one = tuned_into(tmp_path / "one.json", tiny, ["sft"], 2, 2, lambda text: None)["sft"]
    monkeypatch.setattr(tuned_file.stage, "prepare", lambda *_: None)
    monkeypatch.setattr(tuned_file, "plan", lambda base: one.grid)
    monkeypatch.setattr(tuned_file.mpo, "objective", lambda name: None)
    monkeypatch.setattr(tuned_file, "algorithm", lambda config, objective: None)
    monkeypatch.setattr(tuned_file, "tune", lambda *_: one)
    names = [f"loss {number}" for number in range(30)]

    def beside(mine):
        tuned_into(path, tiny, mine, 2, 2, lambda text: None)

    with ThreadPoolExecutor(2) as both:
        list(both.map(beside, (names[::2], names[1::2])))
    assert {*read_tuned(path).objectives} == {*names}


def test_tuned_settings_say_where_they_are_from(tiny, tmp_path):
    path = tmp_path / "tuned.json"
    tuned_into(path, tiny, ["sft"], 2, 2, lambda text: None)
    other = config.changed(tiny, {"data.kind": "base"})
    assert read_tuned(path).elsewhere(tiny) == []
    (line,) = read_tuned(path).elsewhere(other)
    assert "kind" in line
    assert "base" in line
    before = path.read_bytes()
    for described, seeds, episodes in ((other, 2, 2), (tiny, 3, 2), (tiny, 2, 3)):
        with pytest.raises(RequestError, match="tuned with other settings"):
            tuned_into(path, described, ["orpo"], seeds, episodes, lambda text: None)
    assert path.read_bytes() == before


def test_a_folder_takes_more_objectives_but_no_other_settings(tiny, tmp_path):
    def asked(described, *names):
        return Evaluation(described, contestants(*names), 2, 2, "discovery evaluate")

    run(asked(tiny, "orpo"), tmp_path / "e", lambda text: None)
    table = run(asked(tiny, "orpo", "sft"), tmp_path / "e", lambda text: None)
    assert [row.name for row in table.rows] == ["orpo", "sft"]
    held = json.loads((tmp_path / "e" / "results.json").read_text())
    assert held["command"] == "discovery evaluate"
    other = config.changed(tiny, {"training.hyper.updates": 3})
    with pytest.raises(RequestError, match=r"holds another evaluation \(training.hyper.updates"):
        run(asked(other, "orpo"), tmp_path / "e", lambda text: None)
    changed = asked(tiny, "orpo")
    changed = dataclasses.replace(
        changed, contestants={"orpo": situation.algorithm(tiny, mpo.objective("orpo", lam=0.5))}
    )
    with pytest.raises(RequestError, match=r"objectives\.orpo\.settings"):
        run(changed, tmp_path / "e", lambda text: None)


def test_a_folder_is_for_one_process(tiny, tmp_path):
    with locked(tmp_path), pytest.raises(RequestError, match=r"another process .* is at work"):
        run(asked_of(tiny, "orpo"), tmp_path, lambda text: None)
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
    run(asked_of(tiny, "orpo"), tmp_path, lambda text: None)


def test_what_is_added_on_another_machine_is_said(tiny, tmp_path, monkeypatch):
    run(asked_of(tiny, "orpo"), tmp_path, lambda text: None)
    held = json.loads((tmp_path / "results.json").read_text())
    assert held["devices"] == machine()
    assert "jax" in held["versions"]
    monkeypatch.setattr(folder, "machine", lambda: "8 × abacus")
    said: list[str] = []
    run(asked_of(tiny, "orpo", "sft"), tmp_path, said.append)
    assert any('devices: "8 × abacus", was' in text for text in said)
    assert json.loads((tmp_path / "results.json").read_text())["devices"] == held["devices"]


def asked_of(described, *names, seeds=2):
    return Evaluation(described, contestants(*names), seeds, 2, "discovery evaluate")


def test_an_evaluation_that_was_asked_to_stop_keeps_what_it_did(tiny, tmp_path):
    """Ctrl-C during the first objective: it is kept, and the same call ends as if nothing was."""
    said = []

    def say(text):
        said.append(text)
        if text == "orpo: 0 of 2 seeds done":
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted, match="stopped at sft, seed 0 of 2; the same command goes on"):
        run(asked_of(tiny, "orpo", "sft"), tmp_path / "e", say)
    assert Store(tmp_path / "e" / "returns.csv").seeds("orpo") == [0, 1]
    said.clear()
    table = run(asked_of(tiny, "orpo", "sft"), tmp_path / "e", say)
    assert said == ["preparing the data", "sft: 0 of 2 seeds done"]
    assert table == run(asked_of(tiny, "orpo", "sft"), tmp_path / "whole", lambda text: None)


def test_a_finished_evaluation_is_read_and_not_made_again(tiny, tmp_path):
    said: list[str] = []
    first = run(asked_of(tiny, "orpo", "sft"), tmp_path, said.append)
    said.clear()
    assert run(asked_of(tiny, "orpo", "sft"), tmp_path, said.append) == first
    assert said == []
    assert earlier(asked_of(tiny, "orpo"), tmp_path) == first
    other = config.changed(tiny, {"training.hyper.updates": 3})
    assert earlier(asked_of(other, "orpo"), tmp_path) is None
    assert earlier(asked_of(tiny, "orpo"), tmp_path / "none") is None


def test_draws_of_the_data_are_the_unit_where_there_are_several(tiny, tmp_path):
    """The same agents on each, paired; the first draw is the evaluation that there was before."""
    one = run(asked_of(tiny, "orpo", "sft"), tmp_path, lambda text: None)
    said: list[str] = []
    asked = dataclasses.replace(asked_of(tiny, "orpo", "sft"), draws=3)
    table = run(asked, tmp_path, said.append)
    assert said[1:] == [
        f"{name}: 0 of 2 seeds done on draw {draw} of 3"
        for draw in (2, 3)
        for name in ("orpo", "sft")
    ]
    stores = folder.stores(tmp_path, 3)
    values = np.stack([[s.returns([n], [0, 1])[n] for s in stores] for n in ("orpo", "sft")])
    assert len({*values.ravel()}) == values.size, "each draw is another dataset"
    gap = statistics.estimate(values[1] - values[0])
    row = table.rows[1]
    assert (gap.unit, gap.units) == (table.resampled, 3) == ("datasets", 3)
    assert (row.gap.mean, row.gap.low, row.gap.high, row.gap.p) == (
        gap.mean,
        gap.low,
        gap.high,
        gap.p,
    )
    means = values[1].mean(axis=1)
    assert row.mean.mean == pytest.approx(means.mean())
    assert row.mean.standard_error == pytest.approx(np.std(means, ddof=1) / np.sqrt(3))
    assert "95 % over 3 datasets" in table.columns()
    held = json.loads((tmp_path / "results.json").read_text())
    assert (held["resampled"], held["draws"]) == ("datasets", 3)
    assert [own["seed"] % SEEDS for own in held["data"]] == [0, 1, 2]
    assert len({own["fingerprint"] for own in held["data"]}) == 3
    said.clear()
    assert run(asked, tmp_path, said.append) == Table.from_json(held) == table
    assert said == []
    assert "over these datasets, not over agents" in "".join(reported(tmp_path).parts)
    assert run(asked_of(tiny, "orpo", "sft"), tmp_path, lambda text: None) == one
    assert json.loads((tmp_path / "results.json").read_text())["resampled"] == "agents"


@pytest.mark.parametrize("draws", [4, 20])
def test_agents_of_a_dataset_are_not_counted_as_datasets(draws):
    """Luck of a draw that all its agents share widens the interval, as it should."""
    rng = np.random.default_rng(0)
    luck = rng.normal(0, 5, (draws, 1))
    values = luck + rng.normal(0, 0.1, (draws, 8))
    table = Table.of({"a": np.zeros((draws, 8)), "b": values})
    gap, flat = table.rows[1].gap, statistics.difference(values.ravel(), np.zeros(draws * 8))
    assert gap.mean == pytest.approx(flat.mean)
    assert gap.high - gap.low > 2 * (flat.high - flat.low)


def test_what_cannot_be_drawn_several_times_says_so(tiny, tmp_path):
    asked = asked_of(tiny, "orpo")
    two = config.changed(tiny, {"data": [{"kind": "base"}, {"kind": "noisy"}]})
    for described, draws, match in ((two, 2, "has 2 datasets"), (tiny, 0, "draws is 0")):
        with pytest.raises(RequestError, match=match):
            run(dataclasses.replace(asked, config=described, draws=draws), tmp_path / "e", print)
    assert not (tmp_path / "e").exists()


def test_a_table_survives_json_with_what_failed():
    returns = {"orpo": np.array([1.0, 2.0]), "dpo": np.array([np.nan, np.nan])}
    table = Table.of(returns, {"expert": 4.0})
    text = json.dumps(table.as_json(), allow_nan=False)
    np.testing.assert_equal(Table.from_json(json.loads(text)).as_json(), table.as_json())
    assert "| dpo |  | all 2 failed |  |  |  |" in table.markdown()


def test_those_that_are_left_are_no_fair_sample():
    lost = np.where(np.arange(25) < 19, np.nan, np.arange(25) + 0.5)
    table = Table.of({"orpo": np.arange(25.0), "found": lost})
    (line,) = (line for line in table.markdown().splitlines() if "found" in line and "19" in line)
    assert "(19 of 25 failed)" in line
    assert "where both did not fail |  |  |" in line


def test_names_in_a_table_are_shown_as_they_are():
    table = Table.of({"runs/a|b": np.array([1.0]), "<b>*x*": np.array([2.0])})
    text = table.markdown()
    assert r"runs/a\|b" in text
    assert r"\<b\>\*x\*" in text
    assert len({line.replace(r"\|", "").count("|") for line in text.splitlines()}) == 1


@pytest.mark.parametrize("name", ["distill_dpo", "rpo_bwd", "wdpo"])
def test_an_objective_that_needs_rewards_says_so_where_there_are_none(ground, name):
    """As on preference data of one's own, which need not have any."""
    bare = tuple(dataclasses.replace(source, reward=None) for source in ground.sources)
    without = dataclasses.replace(ground, sources=bare)
    with pytest.raises(RequestError, match=rf"'{name}' needs .*reward"):
        evaluate(contestants(name), without, KEY, range(2), 4)


def test_reference_log_probabilities_need_not_be_in_the_data(ground):
    """Those of the agent before its training are taken: DPO can be trained on any data."""
    assert all(source.ref_logp is None for source in ground.sources)
    assert np.isfinite(evaluate(contestants("dpo"), ground, KEY, range(2), 4)["dpo"]).all()


@pytest.mark.slow
def test_the_command_uses_every_core(datasets, tmp_path):
    """Whatever makes an array before the devices are settled would leave it one."""
    cores = len(os.sched_getaffinity(0))
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    out = tmp_path / "e"
    command = "import sys; from discovery.cli import main; sys.exit(main(sys.argv[1:]))"
    small = ["data.rows=16", "training.hyper.updates=2"]
    done = subprocess.run(
        [sys.executable, "-c", command, "evaluate", "--preset", "quick", "--objective", "orpo",
         *[word for setting in small for word in ("--set", setting)],
         "--seeds", "2", "--episodes", "1", "--out", str(out)],
        env=environment | {"DISCOVERY_CACHE": str(datasets)},
        capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    held = json.loads((out / "results.json").read_text())
    assert held["devices"].startswith(f"{cores} × ")


def test_by_the_mean_action_noise_is_no_part_of_the_return(ground):
    """Agents that differ in nothing but their noise earn the same by it, in one program."""
    cohort, policy = Cohort(ground, 4), ground.task.policy
    keys = jax.random.split(KEY, 2)
    loud = cohort.train(stacked([ground.algorithm(mpo.objective("orpo"))], each=2), keys)
    quiet = dataclasses.replace(loud, params=policy.spread(loud.params, -3.0))
    compiled = cohort.compilations()["score"]
    np.testing.assert_array_equal(cohort.score(loud, "mean"), cohort.score(quiet, "mean"))
    assert (cohort.score(loud) != cohort.score(quiet)).all()
    silent = dataclasses.replace(loud, params=policy.spread(loud.params, -30.0))
    np.testing.assert_allclose(cohort.score(silent), cohort.score(loud, "mean"), rtol=1e-6)
    assert cohort.compilations()["score"] <= compiled + 1
    np.testing.assert_allclose(cohort.log_std([quiet]), -3.0)


def test_an_evaluation_measures_by_both_actions_and_tells_the_noise(ground, tmp_path):
    store = Store(tmp_path / "returns.csv")
    returns = evaluate(contestants("orpo"), ground, KEY, range(2), 4, store)
    assert store.measures(["orpo"]) == measures(ground.task) == (RETURN, BY_MEAN, LOG_STD)
    assert list(store.returns(["orpo"], range(2))["orpo"]) == list(returns["orpo"])
    alone = evaluate(contestants("orpo"), ground, KEY, range(2), 4, action="mean")
    np.testing.assert_array_equal(alone["orpo"], store.returns(["orpo"], range(2), BY_MEAN)["orpo"])
    table = Table.stored(store, ["orpo"], range(2))
    assert Table.from_json(json.loads(json.dumps(table.as_json()))) == table
    (line,) = table.cells()
    assert len(line) == len(table.columns()) == 11


@dataclass(frozen=True)
class Paced(Reach):
    """Walk to the origin, and tell how far the first step went."""

    name: ClassVar[str] = "paced"
    measures: ClassVar[tuple[str, ...]] = ("pace",)

    def measured(self, params, starts, keys):
        walks = jax.vmap(self.respond, (None, 0, 0))(params, starts, keys)
        return {"pace": jnp.mean(jnp.linalg.norm(walks.outputs[:, 0], axis=-1))}


def test_what_a_task_measures_beside_returns_is_kept_and_shown(ground, tmp_path):
    paced = dataclasses.replace(ground, task=Paced())
    path = tmp_path / "returns.csv"
    returns = evaluate(contestants("orpo", "sft"), paced, KEY, range(2), 4, Store(path))
    store = Store(path)
    assert store.measures(["orpo"]) == (RETURN, BY_MEAN, LOG_STD, "pace")
    assert all(0 < store.get("orpo", seed, "pace") < 10 for seed in range(2))
    usual = evaluate(contestants("orpo", "sft"), ground, KEY, range(2), 4)
    np.testing.assert_array_equal(returns["orpo"], usual["orpo"])
    table = Table.stored(store, ["orpo", "sft"], range(2))
    assert table.columns()[-1] == "pace"
    assert all(len(line) == len(table.columns()) for line in table.cells())
    assert Table.from_json(json.loads(json.dumps(table.as_json()))) == table
    assert measures(Paced(), "mean") == all_measures(Paced(), "mean")


def test_authors_of_the_data_are_measured_by_their_mean_action_too(tiny, tmp_path):
    """Beside what they earn in the data, by the program that measured the agents; no other."""
    table = run(asked_of(tiny, "orpo"), tmp_path, lambda text: None)
    assert (
        {*table.by_mean_levels} == {*table.levels} == {"expert, in the data", "novice, in the data"}
    )
    for name, value in table.by_mean_levels.items():
        assert value > table.levels[name], "it is the noise that costs a walker in the plane"
    (line,) = (line for line in table.cells() if line[0] == "expert, in the data")
    shown = dict(zip(table.columns(), line, strict=True))
    assert shown["by mean action"] == statistics.number(table.by_mean_levels["expert, in the data"])
    assert Table.from_json(json.loads(json.dumps(table.as_json()))) == table
    alone = dataclasses.replace(asked_of(tiny, "orpo"), action="mean")
    texts = {line[0] for line in run(alone, None, lambda text: None).cells()}
    assert "expert, in the data, by mean action" in texts
    sampled = dataclasses.replace(asked_of(tiny, "orpo"), action="sampled")
    assert not run(sampled, None, lambda text: None).by_mean_levels


def test_authors_are_measured_by_the_program_of_the_agents(tiny, ground):
    cohort = Cohort(ground, 2)
    keys = jax.random.split(jax.random.key(0), 2)
    orpo = stacked([ground.algorithm(mpo.objective("orpo"))], each=2)
    cohort.measure(cohort.trained(orpo, keys), "mean")
    before = cohort.compilations()["score"]
    both = authors.by_mean_action(tiny, ground, ["expert", "novice", "nobody"], 2, 2)
    one = authors.by_mean_action(tiny, ground, ["novice"], 2, 2)
    assert cohort.compilations()["score"] == before
    assert [*both] == ["expert", "novice"]
    assert one["novice"] == both["novice"], "over the same episodes, whoever else is there"


def test_tokens_have_no_mean():
    bandit = envs.task("token_bandit")
    assert actions(bandit) == ("sampled",)
    assert measures(bandit) == (RETURN,)
    for asked in ("mean", "median"):
        with pytest.raises(RequestError):
            actions(bandit, asked)


@pytest.mark.sweep
def test_a_search_by_the_mean_action_has_the_fitness_of_it(tiny, ground):
    by_mean = config.changed(tiny, {"search.action": "mean"})
    assert "action" not in tiny.as_json()["search"]
    assert config.from_json(by_mean.as_json()) == by_mean
    one, other = Search(tiny, ground), Search(by_mean, ground)
    members, state = one.ask(one.init())
    trained = one.train(members, state)
    np.testing.assert_array_equal(
        other.score(trained).members, one.cohort.measure(trained, "mean").mean(axis=0)[:-2]
    )
    assert (one.score(trained).members != other.score(trained).members).all()
