"""How a run ends: what it is compared with may be tuned, on data of its own."""

import json

import pytest

from discovery import config
from discovery.evaluation.tuned_file import tuned_into
from discovery.runs import discover
from discovery.runs.discover import found
from discovery.runs.folder import Folder


def test_what_a_run_is_compared_with_is_tuned_as_the_command_does_it(tiny, tmp_path):
    changes = {"evaluation.tune": True, "evaluation.against": ["sft"], "search.generations": 1}
    asked = config.changed(tiny, changes)
    result = discover(asked, tmp_path / "run", quiet=True)
    own = tuned_into(tmp_path / "tuned.json", asked, ["sft"], 3, 4, lambda text: None)
    assert result.tuned == own
    assert found(Folder(tmp_path / "run")).tuned == own
    (row,) = (row for row in result.table().rows if row.name == "sft")
    assert row.note == "tuned"
    page = (tmp_path / "run" / "report.md").read_text()
    assert own["sft"].said() in page
    assert "not tuned" not in page
    assert "was tuned here" not in page

    # With the settings that were tuned, not with the usual ones.
    usual = config.changed(tiny, {**changes, "evaluation.tune": False})
    other = discover(usual, tmp_path / "usual", quiet=True)
    same_rate = own["sft"].learning_rate == pytest.approx(tiny.training.hyper["learning_rate"])
    assert (other.returns["sft"] == result.returns["sft"]).all() == same_rate
    assert (other.returns["found"] == result.returns["found"]).all()
    held = json.loads((tmp_path / "usual" / "results.json").read_text())
    assert held["tuned"] == {}
    assert "was not tuned here" in (tmp_path / "usual" / "report.md").read_text()
