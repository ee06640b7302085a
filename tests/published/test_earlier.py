"""Folders that an earlier version wrote, and left half done, are gone on with as if by itself.

`ec83f22.zip` holds what the code of that commit had written when it was stopped: a run and a
training of agents after a checkpoint, an evaluation between two objectives, settings tuned, a
figure's trainings recorded, an experiment with two results. Where a log is appended to, it ends
in half a line. In `whole` are the numbers of the same commands when nothing stopped them.
"""

import dataclasses
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from discovery import config
from discovery.evidence import Store, tuning
from discovery.evidence.evaluation import Evaluation, run
from discovery.evidence.returns import MEASURES
from discovery.evidence.tuned_file import read_tuned, tuned_into
from discovery.paper import Request, make
from discovery.paper.exhibit import from_values
from discovery.runs import discover
from envs import ppo, registry
from envs.agents import training
from mpo.log import JsonLog
from tests.discovery.conftest import TINY
from tests.envs.test_agents_training import Mark, request

FOUND = TINY | {"evaluation": TINY["evaluation"] | {"against": ["sft"], "seeds": 2, "tune": False}}


@pytest.fixture
def earlier(tmp_path, monkeypatch):
    """Return where the folders are."""
    monkeypatch.setenv("DISCOVERY_CACHE", str(tmp_path / "cache"))
    with zipfile.ZipFile(Path(__file__).with_name("ec83f22.zip")) as archive:
        archive.extractall(tmp_path)
    return tmp_path


@pytest.fixture
def described():
    return config.from_json(FOUND)


@pytest.mark.sweep
def test_a_run(earlier, described):
    kept = JsonLog(earlier / "run" / "metrics.jsonl").lines()
    assert len(kept) == 2
    discover(described, earlier / "run", quiet=True)
    lines = JsonLog(earlier / "run" / "metrics.jsonl").lines()
    assert lines[:2] == kept
    for line, whole in zip(lines, JsonLog(earlier / "whole" / "run.jsonl").lines(), strict=True):
        for name in ("mean", "best", "worst", "middle", "start", "distance"):
            # Another processor rounds otherwise.
            np.testing.assert_allclose(line[name], whole[name], rtol=1e-3, err_msg=name)


def test_an_evaluation(earlier, described):
    folder, said = earlier / "evaluation", list[str]()
    asked = tuning.contestants(["orpo", "sft"], described, {})
    before = json.loads((folder / "evaluation.json").read_text())
    wanted = Evaluation(described, asked, 2, 2, None)
    run(dataclasses.replace(wanted, action="sampled"), folder, said.append)
    assert not any(text.startswith("orpo:") for text in said), "it has those already"
    known, whole = Store(folder / "returns.csv"), Store(earlier / "whole" / "returns.csv")
    for name in asked:
        found, expected = (store.returns([name], range(2))[name] for store in (known, whole))
        np.testing.assert_allclose(found, expected, rtol=1e-3)
    assert json.loads((folder / "evaluation.json").read_text()) == before
    measured = known.returns(asked, range(2))
    run(wanted, folder, said.append)
    both = Store(folder / "returns.csv")
    np.testing.assert_allclose(both.returns(["orpo"], range(2))["orpo"], measured["orpo"], 1e-3)
    assert both.measures(asked) == MEASURES, "it takes what was not measured then"


def test_settings_that_were_tuned(earlier, described):
    """They are read and used as they are; to tune them again is to tune by today's rule."""
    path = earlier / "tuned.json"
    then = read_tuned(path).objectives["sft"]
    assert then.trials == ()
    base = tuning.contestants(["sft"], described, {})["sft"]
    assert float(then.algorithm(base).descent.learning_rate) == then.learning_rate
    assert tuned_into(path, described, ["sft"], 2, 2, lambda text: None)["sft"].trials


@pytest.mark.sweep
def test_a_figure(earlier):
    values = {
        "about": "Figure 9: a try",
        "shape": "figure",
        "task": "token_bandit",
        "objectives": {"ORPO": "orpo", "SFT": "sft"},
        "rows": [{"name": "one", "about": "shuffled", "data": {"kind": "shuffled"}}],
    }
    changes = {"data.rows": 16, "training.hyper.updates": 2}
    said: list[str] = []
    make(Request(from_values("figure-9", values), changes=changes), earlier / "figure", said.append)
    assert said == [], "its trainings are recorded"
    assert (earlier / "figure" / "figures" / "figure-9-one.png").exists()


def test_a_training_of_agents(earlier, monkeypatch):
    monkeypatch.setitem(registry.TASKS, "mark", registry.Entry(Mark, "a mark to be hit"))
    monkeypatch.setattr(training, "BETWEEN", 1000)
    kept = ppo.read_log(earlier / "agents")
    training.train(request(earlier / "agents", 8.0, 9.0))
    lines = ppo.read_log(earlier / "agents")
    assert lines[: len(kept)] == kept
    for line, whole in zip(lines, JsonLog(earlier / "whole" / "agents.jsonl").lines(), strict=True):
        np.testing.assert_allclose(line["return"], whole["return"], rtol=0.01)


@pytest.mark.llm
def test_an_experiment(earlier):
    pytest.importorskip("torch", reason="needs the [llm] extra")
    from llm_transfer.experiment.ledger import Ledger
    from llm_transfer.experiment.settings import Settings

    settings = Settings(
        objectives=("orpo", "dpo"), seeds=2, learning_rate=3e-3,
        rows=48, held_out=24, scale="test", new_tokens=40,
    )  # fmt: skip
    before = (earlier / "experiment" / "settings.json").read_bytes()
    ledger = Ledger(earlier / "experiment", settings, {"objective orpo": "a"})
    found = {result.cell.objective: result.metrics for result in ledger.results.values()}
    assert found == {"orpo": {"reward": 0.5}, "dpo": {}}
    assert (earlier / "experiment" / "settings.json").read_bytes() == before
    ledger.add(next(iter(ledger.results.values())))  # after half a line
    assert Ledger(earlier / "experiment", settings).results == ledger.results
