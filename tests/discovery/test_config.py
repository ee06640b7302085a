"""Descriptions of runs: whole round trips, and every wrong one fails with what to write instead."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from discovery import config
from discovery.config.sections import SECTIONS
from discovery.runs.discover import check
from mpo.claim import differences
from mpo.errors import RequestError
from tests.refusals import Meant, refusal

QUICK = config.preset("quick")


PRESETS = [
    pytest.param(name, marks=pytest.mark.llm if name == "bandit-to-lm" else ())
    for name in config.presets()
]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_carried_out(name):
    """Its task, data, agents, potentials, strategy and hyper-parameters are all built."""
    described = config.preset(name)
    check(described)
    assert described.about
    assert config.from_json(json.loads(json.dumps(described.as_json()))) == described


def test_settings_go_on_top_and_leave_the_rest_alone():
    changes = dict(map(config.setting, ["search.sigma=0.2", "data.rows=7", "seed=3"]))
    changed = config.changed(QUICK, changes)
    assert (changed.search.sigma, changed.data[0].rows, changed.seed) == (0.2, 7, 3)
    assert changed.search == dataclasses.replace(QUICK.search, sigma=0.2)
    assert changed.family == QUICK.family
    assert QUICK.search.sigma != 0.2, "building must not change what it is built on"


def test_one_dataset_of_several_can_be_changed():
    two = config.from_json(QUICK.as_json() | {"data": [{"kind": "base"}, {"kind": "noisy"}]})
    changed = config.changed(two, {"data.1.flip": 0.3})
    assert [one.flip for one in changed.data] == [None, 0.3]
    assert [one.rows for one in config.changed(two, {"data.rows": 9}).data] == [9, 9]


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("search.sigma=0.2", "search.sigma", 0.2),
        ("family.temporal=true", "family.temporal", True),
        ("data.kind=noisy", "data.kind", "noisy"),
        ('evaluation.against=["orpo", "dpo"]', "evaluation.against", ["orpo", "dpo"]),
        ("about=a=b", "about", "a=b"),
    ],
)
def test_a_setting_is_read_as_toml_or_as_a_word(text, key, value):
    assert config.setting(text) == (key, value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("serch.sigma=1", Meant("search")),
        ("search.sigm=1", Meant("sigma")),
        ("search.sigma=big", "search.sigma must be a number, not 'big'"),
        ("search.sigma=-1", "must be > 0, not -1"),
        ("search.sigma=nan", "must be finite"),
        ("search.population=2.5", "search.population must be a whole number"),
        ("search.population=true", "must be a whole number"),
        ("search.generations=0", "must be a whole number ≥ 1, not 0"),
        ("search.share=all", "known are generation, nothing, pairs"),
        ("search.strategy=open_e", Meant("open_es")),
        ("data.kind=shufled", Meant("shuffled")),
        ("data.rows=0", "must be a whole number ≥ 1"),
        ("data.5.rows=1", "there is no dataset 5"),
        ("data=[]", "needs at least one dataset"),
        ("task.name=hoper", Meant("hopper")),
        ("task.settings.horizn=3", Meant("horizon")),
        ("training.start=export", Meant("expert")),
        ("training.hyper.learning_rat=1", Meant("learning_rate")),
        ("training.hyper.learning_rate=-1", "must be > 0"),
        ("training.way=maps", Meant("map")),
        ("family.potential=netwrk", Meant("network")),
        ("family.potential=log", "unknown setting|role"),
        ("family.settings.unit=9", "unknown setting of potential 'basis' 'unit'"),
        ("family.lam=-1", "must be ≥ 0"),
        ("evaluation.against=[]", "at least one objective"),
        ('evaluation.against=["orp"]', Meant("orpo")),
        ("evaluation.seeds=1", "≥ 2"),
        ("seed=-1", "'seed' of the run must be a whole number in"),
        ("seed=x", "not 'x'"),
        ("sigma", "a setting is written key=value"),
        ("seed.x=1", "has no parts"),
    ],
)
def test_wrong_settings_are_refused_with_what_to_write(text, complaint):
    with refusal(complaint):
        check(config.changed(QUICK, dict([config.setting(text)])))


def test_pairs_need_a_strategy_that_has_them():
    with pytest.raises(RequestError, match="no antithetic pairs"):
        check(config.changed(QUICK, {"search.strategy": "cma_es", "search.share": "pairs"}))


def test_a_file_describes_a_run_as_toml_or_json(tmp_path):
    toml, plain = tmp_path / "run.toml", tmp_path / "config.json"
    toml.write_text('[task]\nname = "reach"\n[[data]]\nkind = "base"\n[search]\nsigma = 0.1\n')
    described = config.from_file(toml)
    assert (described.task.name, described.search.sigma) == ("reach", 0.1)
    plain.write_text(json.dumps(described.as_json()))
    assert config.from_file(plain) == described


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.toml", "task = ", "no valid .toml"),
        ("a.json", "{", "no valid .json"),
        ("a.json", "[]", "must hold a table"),
        ("a.toml", "seed = 1", "no task was given"),
        ("a.toml", "[task]", "task needs the setting 'name'"),
        ("a.toml", "task = 3", "task must be a table of settings"),
    ],
)
def test_a_file_that_describes_nothing_is_refused(tmp_path, name, content, complaint):
    (tmp_path / name).write_text(content)
    with pytest.raises(RequestError, match=complaint):
        config.from_file(tmp_path / name)
    with pytest.raises(RequestError, match="cannot read"):
        config.from_file(tmp_path / "none.toml")


def test_differences_name_every_setting_that_differs_and_no_other():
    other = config.changed(QUICK, {"search.sigma": 0.1, "training.hyper.updates": 5})
    found = differences(other.as_json(), QUICK.as_json())
    assert [line.split(":")[0] for line in found] == ["search.sigma", "training.hyper.updates"]
    assert found[0] == f"search.sigma: 0.1, was {QUICK.search.sigma}"
    assert differences(QUICK.as_json(), QUICK.as_json()) == []


def test_every_section_documents_every_setting():
    for kind in SECTIONS.values():
        text = (kind.__doc__ or "").split("Attributes:")[1]
        for setting in dataclasses.fields(kind):  # type: ignore[arg-type]  # subclasses are dataclasses
            assert setting.name in text


@pytest.mark.sweep
def test_reading_a_description_starts_no_computation():
    """Or the devices of the host could not be chosen any more."""
    program = (
        "from discovery import config; config.presets(); config.preset('quick')\n"
        "from discovery.host import startup; startup.host_devices(3)\n"
        "import jax; assert jax.device_count() == 3, jax.device_count()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env=_plain_environment())


def _plain_environment():
    return {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}


@pytest.mark.parametrize("run", ["tla-noisy", "bandit-shuffled"])
def test_a_description_of_an_earlier_version_is_still_the_same(run):
    """Settings that came since are left out of it: its folder is not refused for them."""
    path = Path(__file__).parents[2] / "docs" / "results" / "searches" / run / "config.json"
    held = json.loads(path.read_text())
    assert not differences(config.from_json(held).as_json(), held)


def test_who_writes_down_noisy_data_today_means_an_exact_share(tmp_path):
    """What was recorded before there was a choice, and what ships with results, does not."""
    text = 'extends = "quick"\n[data]\nkind = "noisy"\n'
    (tmp_path / "mine.toml").write_text(text)
    (tmp_path / "coin.toml").write_text(f"{text}exact = false\n")
    mine, coin = (config.from_file(tmp_path / f"{name}.toml") for name in ("mine", "coin"))
    assert (mine.data[0].exact, coin.data[0].exact) == (True, False)
    assert config.from_json(mine.as_json()) == mine
    (tmp_path / "config.json").write_text(json.dumps(coin.as_json()))
    assert "exact" not in coin.as_json()["data"][0]
    assert config.from_file(tmp_path / "config.json") == coin
    assert not config.preset("quick-noisy").data[0].exact
    plain = config.preset("quick")
    assert config.changed(plain, {"data.kind": "noisy+scarce"}).data[0].exact
    assert not config.changed(plain, {"data.kind": "noisy", "data.exact": False}).data[0].exact
    assert not config.changed(plain, {"data.kind": "base"}).data[0].exact


def test_settings_that_came_later_are_left_out_at_what_was_before():
    """So that folders from before are claimed by the same request."""
    plain = config.preset("quick").as_json()
    assert not {"exact", "spread", "share"} & {*plain["data"][0]}
    later = {"training": "after_sft", "search": "action", "family": "objective"}
    assert all(name not in plain[section] for section, name in later.items())
    assert "rewards" not in plain["training"]
    changes = {
        "data.spread": -1.0,
        "data.share": 0.5,
        "training.start": "sft",
        "training.after_sft": "all",
        "training.rewards": "standard",
        "search.action": "mean",
        "family.objective": "closed_form",
    }
    changed = config.changed(config.preset("hopper-small"), changes)
    assert config.from_json(changed.as_json()) == changed
