"""`discovery train`: algorithms by name, refusals, graders, and a training that is cut off."""

import json
import tomllib
from importlib import resources

import jax
import numpy as np
import pytest

import envs
import mpo
from discovery import algorithms
from discovery.algorithms import training
from discovery.cli import main
from discovery.config import changed
from discovery.host import startup
from discovery.host.stopping import Interrupted
from discovery.search import regime
from mpo import treefile
from mpo.errors import RequestError
from mpo.train import Algorithm, hyper

BANDIT = {
    "task.settings.vocabulary": 20,
    "task.settings.horizon": 5,
    "training.hyper.updates": 40,
    "data.rows": 64,
}
SHORT = [part for name, value in BANDIT.items() for part in ("--set", f"{name}={value}")]


@pytest.fixture(autouse=True)
def _process_as_it_is(monkeypatch):
    monkeypatch.setattr(startup, "host_devices", lambda: None)
    monkeypatch.setattr(startup, "compilation_cache", lambda: None)


def shown(capsys, *arguments):
    assert main(["train", "--task", "token_bandit", "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def whole_rounds(name):
    """Return changes with as many updates as fill two pools of an algorithm."""
    config, _ = algorithms.described(name, "token_bandit", {**BANDIT})
    made = regime.renewal(envs.task("token_bandit", architecture="positions"), config.training)
    made = getattr(made, "regime", made)
    if made.writer != "policy":
        return {**BANDIT}
    batch = config.training.hyper["batch"]
    return {**BANDIT, "training.hyper.updates": 2 * made.reuse * made.size // batch}


@pytest.mark.parametrize("name", algorithms.names())
@pytest.mark.sweep
def test_every_algorithm_trains_and_says_what_it_took(name):
    config, objective = algorithms.described(name, "token_bandit", whole_rounds(name))
    found = algorithms.carry_out(config, objective)
    record = found.record
    assert record["finite"]
    assert 0 < record["return"] <= 1
    assert record["kl"] > 0
    assert record["seconds"] > 0
    assert record["samples"] == 0 if name.startswith("learnt") else record["samples"] > 0


@pytest.mark.parametrize(
    "name", ["ppo", "best_of_n", "optune", "learnt_best_of_n", "online_rpo_bwd"]
)
@pytest.mark.parametrize("task", ["hopper", "three_legged_ant"])
def test_the_names_are_for_physics_too(name, task):
    config, objective = algorithms.described(name, task, {"task.settings.horizon": 100})
    made = regime.renewal(envs.task(task, horizon=100), config.training)
    assert made.segment == 50 or made.writer == "data"
    assert objective.length_normalise


@pytest.mark.parametrize("name", algorithms.names())
@pytest.mark.parametrize("task", ["token_bandit", "hopper", "three_legged_ant", "language"])
@pytest.mark.sweep
def test_as_they_ship_rounds_fill_the_updates_and_nothing_contradicts(name, task):
    config, objective = algorithms.described(name, task)
    made = regime.renewal(envs.task(task, **config.task.settings), config.training)
    steps = hyper(**config.training.hyper)
    assert made.rounds(steps.updates or 0, steps.batch) >= 1
    regime.fitting(Algorithm(objective=objective, renewal=made, descent=steps))


def test_a_loss_alone_is_trained_on_fixed_data(capsys):
    found = shown(capsys, "--algorithm", "dpo", "--set", "data.rows=64", "--set",
                  "training.hyper.updates=20")  # fmt: skip
    assert found["samples"] == 0
    assert found["rounds"] == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--algorithm", "pppo"], ("'ppo'",)),
        (["--algorithm", "ppo", "--set", "training.regime.skope=raw"], ("'skope'", "scope")),
        (["--algorithm", "ppo", "--set", "training.regime.scope=all"], ("'all'", "batch")),
        (["--algorithm", "reinforce", "--set", "training.regime.writer=data"], ()),
        (["--algorithm", "ppo", "--set", "training.regime.writer=data"], ("who wrote", "writer")),
        (["--algorithm", "on_policy_dpo", "--set", "training.regime.kl=0.1"],
         ("training.regime.kl", "'dpo'")),
        (["--algorithm", "grpo", "--set", "training.regime.kl=0.1", "--set", "objective.beta=0.1"],
         ("training.regime.kl", "objective.beta")),
        (["--algorithm", "ppo", "--set", "training.regime.share=0.5"],
         ("training.regime.share", "training.regime.by")),
        (["--algorithm", "best_of_n", "--set", "training.regime.every=2"],
         ("training.regime.every", "'sft'")),
        (["--algorithm", "on_policy_dpo", "--set", "training.regime.pairing=all", "--set",
          "training.regime.responses=1"], ("responses", "'dpo'")),
        (["--algorithm", "ppo", "--set", "training.hyper.batch=7"], ("reuse", "batch=7")),
        (["--algorithm", "ppo", "--set", "training.regime.grader=nobody"], ("'nobody'", "truth")),
        (["--algorithm", "ppo", "--set", "training.regime.grader=no.npz"], ("no reward model",)),
        (["--algorithm", "ppo", "--set", "training.regime.beta=1.0"], ("'implied'",)),
        (["--algorithm", "ppo", "--seed", "-1"], ("--seed",)),
        (["--algorithm", "reinforce", "--set", "training.regime.judge=odd"], ("'odd'",)),
    ],
)  # fmt: skip
@pytest.mark.sweep
def test_what_cannot_be_is_one_line_that_names_both(arguments, says, capsys):
    if not says:
        assert main(["train", "--task", "token_bandit", *arguments, *SHORT, "--quiet"]) == 0
        return
    assert main(["train", "--task", "token_bandit", *arguments]) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert error.count("\n") == 1
    assert all(one in error for one in says), error


def test_a_loss_that_reads_credit_has_none_on_fixed_data():
    config, objective = algorithms.described("ppo", "token_bandit", {**BANDIT})
    bare = {n: v for n, v in config.as_json()["training"].items() if n != "regime"}
    from discovery import config as reading

    with pytest.raises(mpo.RequestError, match=r"training\.regime"):
        algorithms.carry_out(reading.from_json({**config.as_json(), "training": bare}), objective)


def test_responses_that_are_used_again_without_a_ratio_are_warned_of():
    config, objective = algorithms.described(
        "reinforce", "token_bandit", {**BANDIT, "training.regime.reuse": 4}
    )
    with pytest.warns(UserWarning, match="no ratio"):
        algorithms.carry_out(config, objective)


@pytest.mark.sweep
def test_a_grader_is_a_function_named_by_path_or_a_model_that_was_saved(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(
        "import jax.numpy as jnp\n\n\ndef low(inputs, outputs, mask):\n"
        "    return -jnp.mean(outputs.astype(float))\n"
    )
    of = ["--algorithm", "ppo", *SHORT]
    found = shown(capsys, *of, "--set", f"training.regime.grader={tmp_path}/mine.py:low")
    assert found["last_round"]["graded"] < 0 < found["last_round"]["reward"]
    out = tmp_path / "learnt"
    first = shown(capsys, "--algorithm", "learnt_rwr", *SHORT, "--out", str(out))
    assert 0.5 < first["grader"]["agrees"] <= 1
    model = regime.read(out / "reward_model.npz")
    assert model.params.shape == (20,)
    second = shown(capsys, *of, "--set", f"training.regime.grader={out}/reward_model.npz")
    assert second["last_round"]["graded"] != second["last_round"]["reward"]
    (out / "reward_model.npz").write_bytes(b"odd")
    assert main(["train", "--task", "token_bandit", *of, "--set",
                 f"training.regime.grader={out}/reward_model.npz"]) == 2  # fmt: skip


def test_killed_between_two_rounds_it_ends_with_the_same_bits(tmp_path, monkeypatch):
    changes = {**BANDIT, "training.hyper.updates": 40, "training.regime.reuse": 2}
    config, objective = algorithms.described("ppo", "token_bandit", changes)
    whole = algorithms.carry_out(config, objective, 3, tmp_path / "whole")
    for when, kill in ((1, "before"), (2, "after"), (3, "before")):
        calls: list[int] = []

        def write(out, *rest, kill=kill, calls=calls, when=when, own=training._write):
            calls.append(1)
            if len(calls) == when:
                if kill == "after":
                    own(out, *rest)
                raise Interrupted("killed")
            own(out, *rest)

        with monkeypatch.context() as patched:
            patched.setattr(training, "_write", write)
            with pytest.raises(Interrupted):
                algorithms.carry_out(config, objective, 3, tmp_path / "cut")
    again = algorithms.carry_out(config, objective, 3, tmp_path / "cut")
    np.testing.assert_array_equal(again.params, whole.params)
    for name, values in whole.rounds.items():
        np.testing.assert_array_equal(again.rounds[name], values)
    one, other = (
        [json.loads(line) for line in (tmp_path / n / training.ROUNDS).read_text().splitlines()]
        for n in ("whole", "cut")
    )
    assert one == other
    kept = treefile.unpack(
        (tmp_path / "cut" / training.AGENT).read_bytes(), treefile.template(lambda: whole.params)
    )
    np.testing.assert_array_equal(kept, whole.params)


def test_a_folder_is_one_trainings(tmp_path):
    config, objective = algorithms.described("ppo", "token_bandit", {**BANDIT})
    algorithms.carry_out(config, objective, 0, tmp_path)
    with pytest.raises(mpo.RequestError, match="seed"):
        algorithms.carry_out(config, objective, 1, tmp_path)


def test_settings_of_the_file_are_all_known():
    text = resources.files("discovery.algorithms").joinpath("algorithms.toml").read_text()
    tasks = tomllib.loads(text)["tasks"]
    assert {*tasks} <= {*envs.tasks()}
    for name in algorithms.names():
        assert {*algorithms.named(name).on} <= {*tasks}


@pytest.mark.slow
@pytest.mark.parametrize("reward", ["off_support", "aligned"])
def test_the_bandit_is_solved_on_policy_and_not_from_the_references_data(reward):
    """Claims 3, 5 and 6 of the on-policy paper's didactic problem, at the settings that ship."""

    def earned(name, **changes):
        config, objective = algorithms.described(
            name, "token_bandit", {"task.settings.reward": reward, **changes}
        )
        return algorithms.carry_out(config, objective, 0).record["return"]

    assert earned("ppo") >= 0.97
    assert earned("reinforce") >= 0.95
    assert earned("best_of_n") >= 0.95
    best_of_ten = {"off_support": 0.121, "aligned": 0.423}[reward]
    assert earned("best_of_n_offline") == pytest.approx(best_of_ten, abs=0.03)
    assert earned("on_policy_ipo") >= 0.97
    if reward == "off_support":
        bound = {"objective.beta": 0.05}
        assert 0.40 <= earned("on_policy_ipo", **bound) <= 0.55
    jax.clear_caches()


# --- slopes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("slope", ["spsa", "guided", "forward_gradient"])
@pytest.mark.sweep
def test_any_algorithm_takes_its_direction_from_another_slope(slope, capsys):
    settings = [*SHORT, "--set", f"descent.slope={slope}", "--set", "training.hyper.updates=20"]
    record = shown(capsys, "--algorithm", "rloo", *settings)
    told = record["last_round"]
    assert told["change"] > 0
    assert told["equal"] == 0
    assert ("way" in told) == (slope == "guided")


def test_a_slope_keeps_what_another_has_too_and_unknown_ones_are_refused():
    config, _ = algorithms.described("zopro", "token_bandit", {"descent.slope": "spsa"})
    assert config.training.hyper["slope"] == {"name": "spsa", "epsilon": 0.3}
    unknown = algorithms.described("zopro", "token_bandit", {"descent.slope": "spas"})
    with pytest.raises(RequestError, match="spsa"):
        algorithms.carry_out(*unknown)


@pytest.mark.sweep
def test_a_refined_reward_model_is_kept_as_it_is_at_last(tmp_path):
    config, objective = algorithms.described("zopro", "token_bandit", whole_rounds("zopro"))
    config = changed(config, {"training.regime.refine.every": 1})
    record = algorithms.carry_out(config, objective, out=tmp_path / "a").record
    assert record["last_round"]["judged"] == 100  # one round of two was the first
    kept = regime.read(tmp_path / "a" / "reward_model")
    at_first = algorithms.carry_out(
        changed(config, {"training.regime.refine.mix": 1e-6}), objective, out=tmp_path / "b"
    )
    other = regime.read(tmp_path / "b" / "reward_model")
    assert at_first.record["finite"]
    assert np.max(np.abs(kept.params - other.params)) > 1e-3


@pytest.mark.parametrize(
    "settings",
    [
        {"training.regime.grader": "truth"},
        {"training.regime.writer": "data"},
        {"training.regime.refine": {"every": 0}},
        {"training.regime.refine": {"evry": 3}},
    ],
)
def test_a_refinement_that_cannot_be_is_refused(settings):
    config, objective = algorithms.described("zopro", "token_bandit", BANDIT)
    with pytest.raises(RequestError, match=r"training\.regime"):
        algorithms.carry_out(changed(config, settings), objective)
