"""The domain of DiscoGen: whole, of public faults only, and its programs give what is held."""

import ast
import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import yaml

import mpo
from discovery import config
from discovery.cli import main
from discovery.judging import discogen, stranger
from discovery.judging.sealed import TASKS, sealed
from mpo.errors import RequestError

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def domain(tmp_path):
    assert main(["judge", "--discogen", str(tmp_path)]) == 0
    return tmp_path / "domains" / discogen.DOMAIN


def test_every_problem_and_module_that_a_task_names_is_there(domain):
    spec = yaml.safe_load((domain / "utils" / "task_spec.yaml").read_text())
    example = domain.parents[1] / "example_configs" / f"{discogen.DOMAIN}.yaml"
    texts = [(domain / "task_config.yaml").read_text(), example.read_text()]
    presets = config.presets()
    for asked in map(yaml.safe_load, texts):
        for name in (*asked["train_task_id"], *asked["test_task_id"]):
            own = domain / "datasets" / name
            assert (own / "description.md").read_text().strip()
            values = ast.literal_eval((own / "config.py").read_text().partition("=")[2].strip())
            assert values["preset"] in presets
        assert {f"change_{Path(name).stem}" for name in spec["module_files"]} <= asked.keys()
    assert not {*yaml.safe_load(texts[1])["train_task_id"]} & {
        *yaml.safe_load(texts[1])["test_task_id"]
    }
    for kind in ("base", "edit"):
        held = {path.name for path in (domain / "templates" / "default" / kind).iterdir()}
        assert held == {*spec["module_files"]}
    scores = yaml.safe_load((domain / "utils" / "baseline_scores.yaml").read_text())
    assert scores["return_mean"]["objective"] == "max"
    assert {*scores["return_mean"]["default"]} <= {one.name for one in discogen.problems()}


def test_nothing_sealed_is_among_the_problems():
    public = [dict(one.config()["data"]) for one in discogen.problems()]
    for task in TASKS:
        for held in sealed(task).situations.values():
            assert {name: value for name, value in held.items() if name != "seeds"} not in public


def test_the_base_loss_is_dpo_and_the_empty_one_is_refused(domain, registries_as_they_were):
    templates = domain / "templates" / "default"
    found = mpo.objective(stranger.find(str(templates / "base" / "loss.py")).name)
    several = stranger.battery()
    for at in (0, 7, 100):
        one = mpo.Comparison(
            logp=several.logp[at], length=several.length[at], ref_logp=several.ref_logp[at]
        )
        expected = mpo.objective("dpo", beta=0.1).loss(one, jnp.zeros(()))
        np.testing.assert_allclose(found.loss(one, jnp.zeros(())), expected, rtol=1e-5)
    with pytest.raises(RequestError, match="loss"):
        stranger.find(str(templates / "edit" / "loss.py"))


def test_what_is_trained_with_is_chosen_and_the_budget_is_not(domain, monkeypatch):
    program = (domain / "templates" / "default" / "main.py").read_text()
    main_of: dict[str, Any] = {"__name__": "program"}
    monkeypatch.setitem(sys.modules, "config", SimpleNamespace(config={}))
    wanted = SimpleNamespace(hyper=lambda config: {"learning_rate": 0.1, "updates": 10**6})
    monkeypatch.setitem(sys.modules, "hyper", wanted)
    exec(program, main_of)
    with pytest.raises(SystemExit, match=r"hyper.py sets updates: it may set learning_rate, "):
        main_of["main"]()
    asked = (domain / "templates" / "default" / "edit" / "hyper.py").read_text()
    assert all(f"# - {name}: " in asked for name in main_of["CHOSEN"])


def test_a_loss_is_not_silently_left_unjudged(tmp_path, capsys):
    assert main(["judge", "dpo", "--discogen", str(tmp_path)]) == 2
    assert "leave out dpo" in capsys.readouterr().err
    assert main(["judge"]) == 2
    assert "which loss? name one" in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]


@pytest.mark.slow
def test_a_program_gives_the_baseline_that_is_held(tmp_path):
    spec = importlib.util.spec_from_file_location("measuring_discogen", DOCS / "discogen.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    name = "TokenBandit/shuffled"
    discogen.write(tmp_path)
    assert script.measured(tmp_path, name) == pytest.approx(discogen.baselines()[name], rel=1e-3)
