import dataclasses

import numpy as np
import pytest

from envs import agents, data, registry
from envs.agents import Agent, Measurement, Provenance
from envs.judge import calibrated
from mpo.errors import RequestError
from tests.refusals import Meant, refusal


def test_a_kind_brings_its_agents_and_its_judge():
    recipes = {kind: data.plan("reach", kind).recipe for kind in data.KINDS}
    assert {kind: r.reference.name for kind, r in recipes.items()} == {
        "base": "novice", "noisy": "novice", "shuffled": "novice", "poor_judge": "medium",
        "scarce": "novice",
    }  # fmt: skip
    assert {kind: r.judge.flip for kind, r in recipes.items()} == {
        "base": 0.0, "noisy": 0.1, "shuffled": 0.0, "poor_judge": 0.0, "scarce": 0.0
    }  # fmt: skip
    a, b = registry.task_class("reach").defaults.apart or (0.0, 0.0)
    low, high = (pytest.approx(calibrated(a, b, p)) for p in (0.95, 0.75))
    assert recipes["base"].judge.temperature == low
    assert recipes["poor_judge"].judge.temperature == high


def test_everything_can_be_said_otherwise():
    recipe = data.plan(
        "reach", "base", rows=7, responses=3, expert="medium", reference="reach/novice",
        judge="perfect", flip=0.25, seed=5, horizon=4,
    ).recipe  # fmt: skip
    assert (recipe.rows, recipe.responses, recipe.seed) == (7, 3, 5)
    assert (recipe.expert.name, recipe.reference.name) == ("medium", "reach/novice")
    assert (recipe.judge.temperature, recipe.judge.flip) == (None, 0.25)
    assert recipe.settings == (("horizon", 4),)
    assert data.plan("reach", temperature=0.5).recipe.judge.temperature == 0.5


def test_datasets_are_cached(tmp_path):
    reports = []
    for _ in range(2):
        made = data.make("reach", rows=8, cache=tmp_path, report=lambda *done: reports.append(done))
    assert reports == [(0, 8), (8, 8)]
    assert len(made) == 8


def own(folder, name):
    """Write an agent of one's own, and return its parameters."""
    params = registry.task("reach").agent("medium")
    params = dataclasses.replace(params, log_std=params.log_std - 0.125)
    measured = Measurement(9.0, 0.1, 100)
    about = Provenance("reach", "spring", 9.0, 0, 1000, measured, settings={}, versions={})
    agents.write(Agent(params, about), folder / name)
    return params


def test_a_file_called_like_a_level_is_meant_only_by_its_path(tmp_path, monkeypatch):
    expected = data.plan("reach").recipe.expert
    mine = own(tmp_path, "expert")
    monkeypatch.chdir(tmp_path)
    for name in ("expert", "reach/expert"):
        assert data.plan("reach", expert=name).recipe.expert.sha256 == expected.sha256
    for name in ("./expert", str(tmp_path / "expert")):
        assert data.plan("reach", expert=name).recipe.expert == data.Author.of(name, mine)
    (tmp_path / "expert.json").write_text("{")
    assert data.plan("reach").recipe.expert == expected


def test_an_agent_of_ones_own_is_found_by_its_name_too(tmp_path, monkeypatch):
    mine = own(tmp_path, "mine")
    monkeypatch.chdir(tmp_path)
    assert data.plan("reach", reference="mine").recipe.reference == data.Author.of("mine", mine)


BAD = [
    ({"task": "hoper"}, Meant("hopper")),
    ({"kind": "nosy"}, Meant("noisy")),
    ({"rows": 0}, "rows must be at least 1, not 0"),
    ({"rows": -5}, "rows must be at least 1, not -5"),
    ({"responses": 1}, "at least 2 responses, not 1"),
    ({"horizon": 0}, "'horizon' .* must be a whole number ≥ 1"),
    ({"temperature": 0.0}, "must be > 0, not 0.0"),
    ({"temperature": -2.0}, "must be > 0, not -2.0"),
    ({"flip": -0.1}, "must be ≥ 0 and ≤ 1, not -0.1"),
    ({"flip": 1.5}, "must be ≥ 0 and ≤ 1, not 1.5"),
    ({"judge": "strict"}, "unknown judge 'strict': known are high, low, medium, perfect"),
    ({"judge": "low", "temperature": 1.0}, "judge and temperature were both given"),
    ({"expert": "best"}, "unknown agent of reach 'best'"),
    ({"reference": "hopper/nobody"}, "unknown agent 'hopper/nobody'"),
    ({"seed": -1}, r"seed must be in \[0, 2\^32\)"),
]


@pytest.mark.parametrize(("choices", "message"), BAD)
def test_wrong_requests_are_refused_before_anything_is_written(choices, message, tmp_path):
    with refusal(message):
        data.make(**{"task": "reach", "rows": 8, "out": tmp_path / "d.npz"} | choices)
    assert not list(tmp_path.iterdir())


def test_a_kind_may_be_several_faults_at_once():
    one, other = (data.plan("reach", kind).recipe for kind in ("noisy+scarce", "scarce+noisy"))
    assert one == other
    assert (one.judge.flip, one.share, one.exact) == (0.1, 0.3, True)
    three = data.plan("reach", "noisy+poor_judge+shuffled", flip=0.2).recipe
    high = data.plan("reach", "poor_judge").recipe
    assert (three.judge.flip, three.judge.temperature) == (0.2, high.judge.temperature)
    assert three.reference.name == "medium"


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("noisy+noisy", "noisy"),
        ("base+noisy", "base"),
        ("noisy+nosy", "nosy"),
        ("noisy+", "known are"),
    ],
)
def test_kinds_that_make_no_mixture_are_refused(kind, named):
    with pytest.raises(RequestError, match=named):
        data.plan("reach", kind)


def test_authors_spread_as_they_are_told_and_tokens_do_not():
    spread = data.plan("reach", spread=-3.0)
    for author in spread.agents:
        np.testing.assert_array_equal(author.log_std, -3.0)
    own = data.plan("reach")
    assert spread.recipe.expert.name == own.recipe.expert.name
    assert spread.recipe.expert.sha256 != own.recipe.expert.sha256
    with pytest.raises(RequestError, match="token_bandit"):
        data.plan("token_bandit", spread=-1.0)
