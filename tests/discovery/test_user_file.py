"""A user's own file as the data of a run: which rows are for what, and what is refused."""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest

import envs
import mpo
from discovery import config
from discovery.cli import main
from discovery.config.sections import ENOUGH, RECIPE
from discovery.host.processes import all_devices
from discovery.search import situation
from discovery.search.cohort import Cohort
from discovery.search.streams import Purpose
from envs import data
from mpo.claim import differences
from mpo.errors import RequestError
from mpo.train import stacked

REACH = envs.task("reach")


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Return a file in the working directory: 160 comparisons of 4 responses."""
    monkeypatch.chdir(tmp_path)
    data.make("reach", "shuffled", rows=160, responses=4, out="mine.npz")
    return "mine.npz"


def described(tiny, path, **more):
    return config.changed(tiny, {"data.path": path, **{f"data.{n}": v for n, v in more.items()}})


def rows(dataset):
    """Return what tells comparisons apart."""
    return {tuple(row) for row in np.asarray(dataset.reward).tolist()}


def parts(asked):
    one = asked.data[0]
    return {p: rows(situation.dataset_of(asked, one, p, lambda done, rows: None)) for p in Purpose}


def test_what_is_chosen_on_and_what_is_evaluated_on_are_disjoint_and_everything(tiny, mine):
    found = parts(described(tiny, mine))
    whole = rows(data.load(mine))
    assert found[Purpose.DISCOVERY] == found[Purpose.SELECTION] == found[Purpose.TUNING]
    assert found[Purpose.EVALUATION] | found[Purpose.DISCOVERY] == whole
    assert not found[Purpose.EVALUATION] & found[Purpose.DISCOVERY]
    assert len(found[Purpose.EVALUATION]) == len(whole) // 4


def test_the_share_and_the_seed_say_which_rows_are_held_out(tiny, mine):
    half, other = (
        parts(described(tiny, mine, held_out=0.5, seed=seed))[Purpose.EVALUATION] for seed in (0, 1)
    )
    assert len(half) == len(other) == 80
    assert half != other
    everything = parts(described(tiny, mine, held_out=0))
    assert all(found == rows(data.load(mine)) for found in everything.values())


def test_of_a_small_file_nothing_is_held_out_unless_it_is_asked_for(tiny, mine):
    data.load(mine)[: ENOUGH - 1].save("small.npz")
    data.load(mine)[:ENOUGH].save("enough.npz")
    assert described(tiny, "small.npz").data[0].held_out == 0.0
    assert described(tiny, "enough.npz").data[0].held_out == 0.25
    assert described(tiny, "small.npz", held_out=0.1).data[0].held_out == 0.1


def test_a_file_takes_the_place_of_generated_data_in_a_description(tiny, mine):
    segmented = config.changed(tiny, {"data.segment": 5})
    own = described(segmented, mine)
    assert own.data[0].segment == 5
    assert not {*own.data[0].as_json()} & {*RECIPE}
    assert config.from_json(json.loads(json.dumps(own.as_json()))) == own
    extended = config.from_json({"extends": "quick", "data": {"path": mine}})
    assert "kind" not in extended.as_json()["data"][0]


@pytest.mark.parametrize("name", RECIPE)
@pytest.mark.sweep
def test_a_file_is_not_given_with_what_only_generated_data_have(tiny, mine, name):
    value = {"rows": 8, "responses": 3, "temperature": 1.0, "flip": 0.1}.get(name, "base")
    with pytest.raises(RequestError, match=rf"data\.path and data\.{name} were both given"):
        described(tiny, mine, **{name: value})


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"data.path": "none.npz"}, "none.npz: no such file"),
        ({"data.held_out": 0.5}, "give data.path too"),
        ({"data.path": "mine.npz", "data.held_out": 1.0}, "< 1, not 1.0"),
        ({"data.path": "mine.npz", "data.held_out": 0.001}, "leaves none on one side"),
        ({"data.path": "mine.npz", "task.name": "token_bandit"}, "a dataset of task 'reach'"),
        ({"data.responses": 1}, "at least 2 responses"),
    ],
)
def test_wrong_requests_are_refused_before_anything_is_made(tiny, mine, changes, complaint):
    with pytest.raises(RequestError, match=complaint):
        situation.check(config.changed(tiny, changes))


def saved(path, **changes):
    """Write a file of no task in particular, of the sizes of the bandit's but for `changes`."""
    fields = {"inputs": np.zeros((4, 2), int), "outputs": np.ones((4, 2, 10), int), **changes}
    data.from_arrays(**fields).save(path)


@pytest.mark.parametrize(
    ("task", "changes", "complaint"),
    [
        ("reach", {}, "integers where the task has observations"),
        ("token_bandit", {"outputs": np.full((4, 2, 10), 100)}, "token 100, .* vocabulary of 100"),
        ("token_bandit", {"outputs": np.ones((4, 2, 11), int)}, "up to 11 tokens, .* task 10"),
        ("token_bandit", {"inputs": np.zeros((4, 2, 3), int)}, r"contexts are of shape \[3\]"),
        (
            "reach",
            {"inputs": np.zeros((4, 2, 5, 3)), "outputs": np.zeros((4, 2, 5, 2))},
            r"observations are of shape \[3\], those of the task \[2\]",
        ),
        (
            "reach",
            {"inputs": np.zeros((4, 2, 5, 2)), "outputs": np.zeros((4, 2, 5, 1))},
            r"actions are of shape \[1\], those of the task \[2\]",
        ),
    ],
)
def test_a_file_must_fit_the_task(tiny, mine, task, changes, complaint):
    saved("odd.npz", **changes)
    with pytest.raises(
        data.DatasetError, match=f"odd.npz does not fit task '{task}': .*{complaint}"
    ):
        situation.check(described(config.changed(tiny, {"task.name": task}), "odd.npz"))


def test_another_file_of_the_same_name_is_refused(tiny, mine):
    own = described(tiny, mine)
    dataset = data.load(mine)
    again = dataclasses.replace(dataset)
    again.save("again.npz")
    assert data.contents("again.npz") == data.contents(mine), "a copy is the same"
    other = dataclasses.replace(dataset, reward=np.asarray(dataset.reward) + 1.0)
    other.save(mine)
    with pytest.raises(RequestError, match="holds other comparisons than it did"):
        situation.check(own)
    lines = differences(described(tiny, mine).as_json(), own.as_json())
    assert [line.split(":")[0] for line in lines] == ["data.0.sha256"]


@pytest.mark.parametrize("objective", ["rpo_bwd", "rpo_sqloo", "dpo", "orpo"])
@pytest.mark.sweep
def test_agents_train_on_more_than_two_responses(tiny, mine, objective):
    """Those of a file, and those that are generated; pairwise losses see the best and the worst."""
    for changes in ({"data.path": mine}, {"data.responses": 4}):
        asked = config.changed(tiny, changes)
        ground = situation.prepare(asked, Purpose.DISCOVERY, all_devices())
        assert ground.sources[0].outputs.shape[1] == 4
        algorithms = stacked([ground.algorithm(mpo.objective(objective))], each=2)
        returns = Cohort(ground, 4).earn(algorithms, jax.random.split(jax.random.key(0)))
        assert np.all(np.isfinite(returns))


def test_a_run_on_a_file_goes_on_only_with_that_file(tiny, mine, capsys):
    """Its report says of which comparisons its evaluation is."""
    values = config.changed(tiny, {"search.generations": 1, "evaluation.against": ["orpo"]})
    Path("mine.json").write_text(json.dumps({**values.as_json(), "data": {"path": mine}}))
    command = ["run", "--config", "mine.json", "--out", "run", "--quiet"]
    assert main(command) == 0
    assert "25 % of the comparisons in mine.npz, held out" in Path("run/report.md").read_text()
    capsys.readouterr()
    data.make("reach", "noisy", rows=160, out=mine)
    assert main(command) == 2
    assert "data.0.sha256" in capsys.readouterr().err
