"""How a run ends: what it is compared with may be tuned, on data of its own."""

import json
import signal
from contextlib import contextmanager

import pytest

from discovery import config
from discovery.evidence.tuned_file import tuned_into
from discovery.runs import Interrupted, discover, trackers
from discovery.runs.folder import Folder
from discovery.runs.result import found
from discovery.runs.watch import Watcher


@pytest.mark.slow
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


class Spectator(Watcher):
    """Notes what a run does, and presses Ctrl-C when it does `moment`."""

    def __init__(self, moment):
        self.moment, self.seen = moment, []

    def phase(self, text):
        self.seen.append(text)
        if text == self.moment:
            signal.raise_signal(signal.SIGINT)

    def generation(self, line):
        pass


@pytest.mark.parametrize(
    ("moment", "then", "kept"),
    [
        ("selecting", "stopped before recording a training", set()),
        ("tuning sft, 0 of 32 points done", "stopped before", set()),
        ("evaluating found, seed 0 of 3", "stopped before evaluating sft", {"returns.csv"}),
    ],
)
@pytest.mark.sweep
def test_asked_to_stop_in_its_end_it_stops_there_and_goes_on(
    tiny, tmp_path, monkeypatch, moment, then, kept
):
    changes = {"evaluation.tune": True, "evaluation.against": ["sft"], "search.generations": 1}
    asked = config.changed(tiny, changes)

    def watched(moment=""):
        spectator = Spectator(moment)

        @contextmanager
        def watching(*_):
            yield spectator

        monkeypatch.setattr(trackers, "watching", watching)
        return spectator

    watched(moment)
    with pytest.raises(Interrupted, match=f"{then}.*the same command goes on"):
        discover(asked, tmp_path / "run", quiet=True)
    folder = Folder(tmp_path / "run")
    assert not folder.results.exists()
    assert kept <= {path.name for path in folder.path.iterdir()}
    again = watched()
    result = discover(asked, tmp_path / "run", quiet=True)
    watched()
    whole = discover(asked, tmp_path / "whole", quiet=True)
    assert json.dumps(result.as_json()) == json.dumps(whole.as_json())
    if kept:
        assert not any("tuning" in text or "evaluating found" in text for text in again.seen)
