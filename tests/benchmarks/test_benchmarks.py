"""Every benchmark runs, at its smallest setting; what it measures is no matter here."""

import json
import sys

import pytest

from benchmarks import inner_loop, language_model, objectives, timing


@pytest.fixture
def printed(monkeypatch, capsys):
    """Return what a benchmark prints as JSON, as a function of the module and its arguments."""

    def run(module, *arguments):
        monkeypatch.setattr(sys, "argv", [module.__name__, "--json", *arguments])
        module.main()
        return json.loads(capsys.readouterr().out)

    return run


def test_objectives(printed, monkeypatch):
    monkeypatch.setattr(objectives, "NAMES", ("dpo", "orpo"))
    learned = "mpo: basis, 8 functions"
    monkeypatch.setattr(objectives, "LEARNED", {learned: objectives.LEARNED[learned]})
    found = printed(objectives, "--rounds", "1")
    assert found["machine"] == timing.machine()
    assert list(found["rows"]) == ["dpo", "orpo", learned, "policy gradient"]
    assert found["rows"]["dpo"]["x dpo"] == 1.0
    assert all(row["ns per comparison"] > 0 for row in found["rows"].values())


def test_inner_loop(printed, monkeypatch):
    monkeypatch.setattr(inner_loop, "ROWS", 4)
    monkeypatch.setattr(inner_loop, "NAMES", ("orpo",))
    monkeypatch.setattr(inner_loop, "WAYS", ("vmap",))
    found = printed(inner_loop, "--updates", "1", "--rounds", "1", "--agents", "2")
    assert found["rows"]["bare policy gradient"]["% of bare"] == 100
    assert "2 agents, vmap, 1 device(s)" in found["rows"]
    assert all(row["M samples/s"] > 0 for row in found["rows"].values())


@pytest.mark.llm
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.filterwarnings("ignore:.(is_)?gradient_checkpointing. is deprecated:FutureWarning")
def test_language_model(printed, monkeypatch):
    for package in ("torch", "trl"):
        pytest.importorskip(package, reason="needs the [llm] extra")
    name = "PreferenceTrainer, orpo"
    found = language_model.one(name, language_model.SMALL, steps=1)
    assert found["seconds"] > 0
    keys = [f"{one}, 106 words" for one in ("DPOTrainer (TRL)", name)]
    monkeypatch.setattr(language_model, "measure", lambda *_: dict.fromkeys(keys, found))
    rows = printed(language_model)
    assert list(rows) == keys
    assert rows[keys[1]]["x DPOTrainer"] == 1.0
