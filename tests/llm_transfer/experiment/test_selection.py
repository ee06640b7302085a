"""Candidates of a search scored by fine-tunings, and a discovery that selects by them."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the [llm] extra")

import mpo  # noqa: E402
from discovery import config  # noqa: E402
from discovery.cli import main  # noqa: E402
from discovery.runs import selection  # noqa: E402
from llm_transfer.experiment import study  # noqa: E402
from llm_transfer.experiment.selection import language_model  # noqa: E402
from tests.refusals import Meant, refusal  # noqa: E402

pytestmark = [
    pytest.mark.llm,
    pytest.mark.filterwarnings("ignore:.(is_)?gradient_checkpointing. is deprecated:FutureWarning"),
]
SMALL = {"scale": "test", "rows": 32, "held_out": 16, "new_tokens": 30, "tune": [1e-3, 1e-2]}
CANDIDATES = {"the start": mpo.objective("orpo"), "a mean": mpo.objective("sft")}


def _told(said):
    return lambda text: said.append(text)


@pytest.mark.slow
def test_every_candidate_has_a_score_of_every_seed_that_is_kept(tmp_path):
    said: list[str] = []
    scores = language_model(**SMALL)(CANDIDATES, 2, tmp_path, _told(said))
    assert list(scores) == list(CANDIDATES)
    assert all(own.shape == (2,) and ((own >= 0) & (own <= 1)).all() for own in scores.values())
    assert said[-1] == "fine-tuning a mean, 8 of 8"
    again: list[str] = []
    same = language_model(**SMALL)(CANDIDATES, 2, tmp_path, _told(again))
    assert all(np.array_equal(same[name], scores[name]) for name in scores)
    assert not again  # nothing was run a second time
    assert torch.get_num_threads() >= 1


def test_the_score_is_that_of_the_best_rate_and_divergence_is_the_worst(tmp_path, monkeypatch):
    def tuned(lab, loss, rows, rate, seed):
        if loss.name == "sft" or (rate == 1e-2 and seed == 1001):
            raise FloatingPointError("diverged")
        return rate

    monkeypatch.setattr(study, "finetuned", tuned)
    monkeypatch.setattr(
        study, "measured", lambda lab, rate, split, seed: {"reward": 10 * rate + 1e-3 * (seed % 2)}
    )
    scores = language_model(**SMALL)(CANDIDATES, 2, tmp_path, _told([]))
    assert scores["the start"] == pytest.approx([1e-2, 1.1e-2])
    assert (scores["a mean"] == -np.inf).all()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"row": 3}, Meant("rows")),
        ({"objectives": ["orpo"]}, "unknown setting of the selection"),
        ({"rows": "many"}, "must be a whole number"),
        ({"rows": 0}, "'rows' .* ≥ 1"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_the_search(settings, says):
    changed = {"evaluation.selection": "language_model", "evaluation.selection_settings": settings}
    asked = config.changed(config.preset("quick"), changed)
    with refusal(says):
        selection.measure(asked.evaluation)


@pytest.mark.slow
def test_a_discovery_on_the_bandit_is_picked_by_the_language_model(tmp_path, monkeypatch, capsys):
    small = json.dumps({**SMALL, "shuffled": 0.5}).replace(":", " =").replace('"', "'")
    command = ["run", "--preset", "bandit-to-lm", "--out", str(tmp_path / "run"), "--quiet"]
    for setting in (
        "search.generations=2", "search.population=4", "search.episodes=8",
        "training.hyper.updates=20", "evaluation.seeds=2", "evaluation.episodes=8",
        f"evaluation.selection_settings={small}",
    ):  # fmt: skip
        command += ["--set", setting]
    assert main(command) == 0, capsys.readouterr().err
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    means = {name: mean["mean"] for name, mean in results["candidates"].items()}
    assert results["selected"] == max(means, key=lambda name: means[name])
    lines = (tmp_path / "run" / "selection" / "results.jsonl").read_text().splitlines()
    assert len(lines) == 4 * 2 * 2  # candidates, rates, seeds
    assert "the measure `language_model`" in (tmp_path / "run" / "report.md").read_text()
