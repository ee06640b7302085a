"""Published numbers do not drift: the shipped searches' first generations are what they were."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from discovery import config
from discovery.evidence import evaluation

HERE = Path(__file__).parent
RUN = HERE.parents[1] / "docs/results/searches/bandit-shuffled"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("published")


@cache
def generations(search, folder):
    """Return two generations of a shipped search, made as a user's process makes them."""
    out = folder / f"{search}.json"
    own = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    command = [sys.executable, "-m", "tests.published.generations", str(out), search]
    subprocess.run(command, cwd=HERE.parents[1], env=own, check=True, timeout=600)
    return json.loads(out.read_text())


@pytest.mark.parametrize("search", ["quick", pytest.param("hopper-small", marks=pytest.mark.slow)])
def test_the_first_generations_of_shipped_searches_are_what_they_were(search, folder):
    made = generations(search, folder)
    stored = json.loads((HERE / "generations.json").read_text())
    for name, values in stored[search].items():
        if made["machine"] == stored["machine"]:
            assert made[search][name] == values
        # Another processor rounds otherwise, which a short training passes on as it is.
        np.testing.assert_allclose(made[search][name], values, rtol=2e-4, err_msg=name)


def test_quick_is_the_run_that_was_published(folder):
    made = generations("quick", folder)
    lines = [json.loads(line) for line in (RUN / "metrics.jsonl").read_text().splitlines()]
    for (*members, middle, start), line in zip(made["quick"]["fitness"], lines, strict=False):
        mean = np.asarray(members, np.float32).mean()
        found = [mean, max(members), min(members), middle, start]
        said = [line[name] for name in ("mean", "best", "worst", "middle", "start")]
        np.testing.assert_allclose(found, said, rtol=1e-6)


EVALUATIONS = sorted((HERE.parents[1] / "docs/results").rglob("evaluation.json"))


@pytest.mark.parametrize("path", EVALUATIONS, ids=lambda path: path.parent.name)
def test_a_published_evaluation_goes_on_by_the_request_it_was_made_by(path):
    """Whatever version wrote its folder."""
    held = json.loads(path.read_text())
    parts = ("task", "data", "training", "seed")
    described = config.from_json({name: held[name] for name in parts}).as_json()
    request = {name: described[name] for name in parts}
    request |= {"episodes": held["episodes"], "objectives": held["objectives"]}
    assert evaluation.claim(path.parent).changes(request, held) == []
