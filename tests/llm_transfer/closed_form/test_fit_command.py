"""`discovery fit`: a folder of closed forms, each an objective like any other."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

import mpo
from discovery import config
from discovery.cli import main
from discovery.evidence import stage, trajectory
from discovery.host import startup
from mpo.potentials import BasisPotential
from tests.discovery.conftest import TINY

FOUND = mpo.objective(
    "mpo",
    psi=BasisPotential.of({"log": 0.3, "x": 0.4}),
    phi_inv=BasisPotential.of({"logit": 0.5, "softplus": 1.0}),
)
PAIR = mpo.Comparison(logp=jnp.array([-1.0, -3.0]), length=jnp.array([2.0, 3.0]))


@pytest.fixture(autouse=True)
def _process_as_it_is(monkeypatch, tmp_path_factory):
    """Leave devices and compilation cache alone, and keep datasets out of the user's folders."""
    monkeypatch.setattr(startup, "host_devices", lambda: None)
    monkeypatch.setattr(startup, "compilation_cache", lambda: None)
    monkeypatch.setenv("DISCOVERY_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def folder(training, tmp_path):
    """The folder of a run that found something, as far as `fit` looks at it."""
    about = config.from_json(TINY).as_json()
    provenance = mpo.Provenance(versions={}, task="reach", config=about, fitness=3.0)
    mpo.save(FOUND, tmp_path / "run" / "objective", provenance)
    training.save(tmp_path / "run" / trajectory.FILE)
    return tmp_path / "run"


@pytest.mark.sweep
def test_it_leaves_numbers_a_figure_and_objectives(folder, capsys):
    assert main(["fit", str(folder), "--terms", "2", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    out = folder / "closed_forms"
    held = json.loads((out / "front.json").read_text())
    assert held["points"] == printed["points"]
    assert held["objective"] == str(folder)
    assert (out / "front.png").stat().st_size > 10_000
    for point in held["points"]:
        loaded = mpo.load(out / point["name"])
        assert loaded.provenance.task == "reach"
        assert loaded.provenance.fitness is None
        assert loaded.provenance.extra["closed_form"]["error"] == point["error"]
        assert np.isfinite(loaded.objective(PAIR))
    assert mpo.objective(out / "paper").name == "closed_form"


def test_the_table_shows_formulas(folder, capsys):
    assert main(["fit", str(folder), "--terms", "1"]) == 0
    shown = capsys.readouterr().out
    assert "ψ(x)" in shown
    assert "log(x)" in shown
    assert "closed_form_1" in shown


@pytest.mark.slow
def test_what_is_lost_is_evaluated_and_a_training_recorded_where_none_is(folder, capsys):
    (folder / trajectory.FILE).unlink()
    asked = ["--terms", "1", "--evaluate", "--seeds", "2", "--episodes", "2", "--json"]
    assert main(["fit", str(folder), *asked]) == 0
    printed = json.loads(capsys.readouterr().out)
    rows = printed["evaluation"]["rows"]
    assert [row["name"] for row in rows] == ["found", "paper", "closed_form_1"]
    assert all(np.isfinite(row["mean"]["mean"]) for row in rows)
    assert (folder / "closed_forms" / "evaluation" / "returns.csv").exists()


@pytest.mark.slow
def test_another_seed_records_another_training(folder, training, monkeypatch):
    recorded = []

    def prepared(described, *_):
        recorded.append(described.seed)

    monkeypatch.setattr(stage, "prepare", prepared)
    monkeypatch.setattr(trajectory, "record", lambda *_: training)
    assert main(["fit", str(folder), "--terms", "1", "--json"]) == 0
    assert not recorded  # the run's own is there
    assert main(["fit", str(folder), "--terms", "1", "--json", "--seed", "7"]) == 0
    asked = ["--set", "seed=3", "--terms", "1", "--json"]
    assert main(["fit", str(folder), *asked]) == 0
    assert recorded == [7, 3]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["orpo"], "give --task and --dataset"),
        (["dpo", "--preset", "quick"], "no potentials"),
        (["orpo", "--preset", "quick", "--terms", "0"], "at least 1"),
        (["nothing"], "unknown objective"),
        (["RUN", "--evaluate", "--seeds", "1"], "at least 2 seeds"),
        (["RUN", "--terms", "0"], "at least 1"),
        (["RUN", "--set", "data.kind=odd"], "unknown"),
    ],
)
def test_a_wrong_request_is_one_line_and_writes_nothing(folder, arguments, says, capsys):
    there = [str(folder) if word == "RUN" else word for word in arguments]
    assert main(["fit", *there]) == 2
    error = capsys.readouterr().err.splitlines()
    assert says in error[-1]
    assert not (folder / "closed_forms").exists()
