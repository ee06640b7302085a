"""What a run selects by: returns, or a measure that another package brings."""

import importlib.metadata
import json
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

import mpo
from discovery import config
from discovery.runs import discover, selection
from tests.refusals import Meant, refusal


@pytest.fixture
def brought(monkeypatch):
    """Bring a measure along under the name `liking`, whose setting is the candidate it likes."""
    seen = []

    def liking(likes="mean"):
        def measure(candidates, seeds, folder, told):
            seen.append(SimpleNamespace(candidates=candidates, folder=folder))
            told("liking")
            scores = {name: np.zeros(seeds) for name in candidates}
            scores[likes] += 1.0
            scores["start"][0] = np.inf  # not finite is failed, however great
            return scores

        return measure

    entry = SimpleNamespace(name="liking", load=lambda: liking)
    installed = importlib.metadata.entry_points  # JAX asks it too, for its own

    def entry_points(**asked):
        return [entry] if asked == {"group": selection.GROUP} else installed(**asked)

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    return seen


def _asking(tiny, **settings):
    return config.changed(tiny, {f"evaluation.{name}": value for name, value in settings.items()})


@pytest.mark.sweep
def test_a_run_ends_with_the_candidate_that_the_measure_scores_best(tiny, brought, tmp_path):
    asked = _asking(tiny, selection="liking", selection_settings={"likes": "best member"})
    result = discover(asked, tmp_path / "run", quiet=True)
    assert result.selected == "best member"
    assert result.candidates["best member"].mean == 1.0
    assert result.candidates["start"].failed == 1
    (call,) = brought
    assert call.folder == tmp_path / "run" / "selection"
    found, liked = (mpo.ravel(x)[0] for x in (result.objective, call.candidates["best member"]))
    assert jnp.array_equal(found, liked)
    assert not jnp.array_equal(found, mpo.ravel(call.candidates["mean"])[0])
    page = (tmp_path / "run" / "report.md").read_text()
    assert "selected, by the measure `liking`" in page
    stored = json.loads((tmp_path / "run" / "results.json").read_text())
    assert stored["selected"] == "best member"


def test_what_cannot_be_selected_by_is_refused(tiny, brought, tmp_path):
    for settings, says in (
        ({"selection": "likin"}, Meant("liking")),
        ({"selection_settings": {"likes": "start"}}, "name it"),
    ):
        with refusal(says):
            discover(_asking(tiny, **settings), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_no_measure_is_the_return_of_agents(tiny):
    assert selection.measure(tiny.evaluation) is None
    assert config.from_json(tiny.as_json()) == tiny
