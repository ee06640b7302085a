"""The judge: what cannot work is refused in a line, and a verdict is the same every time."""

import dataclasses
import json
import os
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import mpo
from discovery.cli import main
from discovery.judging import sealed as sets
from discovery.judging import stranger, trial, verdict
from discovery.judging.sealed import SealedSet, sealed
from discovery.leaderboard.board import board
from discovery.search import situation
from tests.refusals import refusal

pytestmark = pytest.mark.usefixtures("registries_as_they_were")

HEAD = "import time, jax, numpy as np, jax.numpy as jnp, mpo\n"
DPO = (
    HEAD
    + """
def loss(logp, length, ref_logp=None, reward=None):
    ratio = logp - ref_logp
    return -jax.nn.log_sigmoid(0.1 * (ratio[0] - ratio[-1]))
"""
)
OBJECTIVE = """
from dataclasses import dataclass
from typing import ClassVar
import jax, mpo
from mpo.pytree import pytree
from mpo.settings import Number, number

@mpo.register_objective
@pytree
@dataclass(frozen=True, kw_only=True)
class Pulled(mpo.Objective):
    name: ClassVar = "pulled"
    lam: Number = number(0.5, at_least=0.0, tried=(0.1, 1.0))

    def loss(self, c, progress):
        return -c.logp[0] / c.length[0] + self.lam * jax.nn.softplus(c.logp[-1] - c.logp[0])
"""
TINY = """
[task]
name = "reach"
[data]
kind = "base"
rows = 32
[training.hyper]
updates = 12
batch = 8
learning_rate = 0.03
"""


@pytest.fixture
def written(tmp_path):
    """Return a function that writes a stranger's file."""

    def write(text: str) -> str:
        path = tmp_path / "my_loss.py"
        path.write_text(text)
        return str(path)

    return write


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Return a set of a toy task, in place of every sealed set."""
    preset = tmp_path / "tiny.toml"
    preset.write_text(TINY)
    found = SealedSet(
        task="reach",
        preset=str(preset),
        public={"base": {"kind": "base"}, "shuffled": {"kind": "shuffled"}},
        situations={
            name: {"kind": "noisy", "exact": True, "flip": flip, "seeds": [5, 9]}
            for name, flip in (("few", 0.1), ("many", 0.3))
        },
        agents=2,
        tried=1,
        episodes=4,
    )
    monkeypatch.setattr(sets, "sealed", lambda task: found)
    return found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1", "has no loss"),
        ("raise SystemExit(3)", "cannot be imported"),
        ("def loss(chosen, rejected): return chosen", "takes 'chosen'"),
        ("def loss(logp): return -logp", "shape"),
        ("def loss(logp): return -logp[0] if logp[0] > 0 else logp[1]", "cannot trace"),
        ("def loss(logp): return np.log1p(logp[0])", "cannot trace"),
        ("def loss(logp): return jnp.argmax(logp)", "cannot differentiate"),
        ("def loss(logp): return jnp.log(jax.nn.sigmoid(logp[0]))", "loss in .* not finite"),
        ("def loss(logp): return jnp.sqrt(jnp.abs(logp[0] - logp[1]))", "slope of .* not finite"),
        ("def loss(logp, length): return length[0]", "slope is zero"),
        (OBJECTIVE + OBJECTIVE.replace("ulled", "ushed").replace("P", "P"), "leave one"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_in_a_line(text, says, written):
    with refusal(says) as caught:
        stranger.find(written(HEAD + text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "limit", "says"),
    [
        ("while True: pass", ("--seconds", "1"), "--seconds"),
        ("def loss(logp):\n    while True: pass", ("--seconds", "1"), "--seconds"),
        ("held = [bytearray(2**28) for _ in range(64)]", ("--memory", "1"), "--memory"),
        ("import os; os._exit(0)", (), "ended its process"),
    ],
    ids=["endless import", "endless loss", "memory", "exit"],
)
@pytest.mark.sweep
def test_limits_hold_in_the_process_and_leave_nothing(text, limit, says, written, capsys, tmp_path):
    out = tmp_path / "out"
    assert main(["judge", written(HEAD + text), "--out", str(out), *limit]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert says in error
    assert not out.exists()


def test_a_plain_function_is_the_objective_that_it_writes_out(written):
    found = stranger.find(written(DPO))
    assert found == stranger.Found("my_loss", stranger.PLAIN, ("ref_logp",))
    several, dpo = stranger.battery(), mpo.objective("dpo", beta=0.1)
    for at in (0, 7, 100):
        one = mpo.Comparison(
            *(getattr(several, field)[at] for field in ("logp", "length", "ref_logp", "reward"))
        )
        np.testing.assert_allclose(mpo.objective("my_loss")(one), dpo(one), rtol=1e-6)


def test_what_a_function_names_and_does_not_read_it_is_not_given(written):
    text = HEAD + (
        "def loss(logp, length, ref_logp=None, reward=None):\n"
        "    return -logp[0] + (0.0 if reward is None else jnp.sum(logp * reward))"
    )
    assert stranger.find(written(text)).reads == ("reward",)


@pytest.mark.sweep
@pytest.mark.parametrize(
    "name", [one.name for one in board().losses if not one.after_sft and one.group != "found"]
)
def test_losses_that_work_pass(name):
    stranger.check(mpo.objective(name), name)


@pytest.mark.parametrize("task", sets.TASKS)
def test_sealed_situations_are_others_than_all_that_anything_is_chosen_on(task):
    chosen = sealed(task)
    known = [dict(fault.data) for fault in board().faults]
    seeds: list[int] = []
    for name, settings in chosen.situations.items():
        assert {k: v for k, v in settings.items() if k != "seeds"} not in known
        seeds += settings["seeds"]
        situation.check(chosen.situation(name))
    assert len({*seeds}) == len(seeds) == sets.DRAWS * len(chosen.situations)
    assert sealed(task) == chosen
    assert dataclasses.replace(chosen, agents=1).digest != chosen.digest


def test_the_losses_beside_were_measured_on_this_set():
    held = verdict.standing(sealed("token_bandit"))
    assert {"sft", "orpo", "gce"} <= {*held}
    for one in held.values():
        assert {*one["situations"]} == {*sealed("token_bandit").situations}


@pytest.mark.sweep
def test_a_verdict_is_the_same_in_another_process_and_goes_on_where_it_was(
    small, written, tmp_path, capsys
):
    file, out = written(OBJECTIVE), tmp_path / "out"
    command = ["judge", file, "--task", "reach", "--out", str(out), "--json"]
    assert main(command) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["loss"]["name"] == "pulled"
    assert record["tuned"]["tried"] == 24
    assert "lam" in record["tuned"]["settings"]
    assert (record["rank"], record["of"]) == (1, 1)
    first = (out / verdict.RECORD).read_bytes()

    # Without a process of its own, and from the log of a command that was stopped half-way.
    name = stranger.find(file).name
    told: list[dict] = []
    lines = [json.loads(line) for line in (out / verdict.LOG).read_text().splitlines()]
    done = {"tuned": lines[1]["tuned"], "measured": ["few"]}
    trial.judge(small, name, done, told.append)
    assert [one for one in told if "said" not in one] == [lines[-1]]

    (out / verdict.LOG).write_text("".join(json.dumps(line) + "\n" for line in lines))
    (out / verdict.RECORD).unlink()
    assert main(command) == 0
    assert (out / verdict.RECORD).read_bytes() == first
    capsys.readouterr()
    Path(file).write_text(OBJECTIVE + "\n")
    assert main(command) == 2
    assert "sha256" in capsys.readouterr().err


def test_ranks_and_gaps_are_of_paired_shares(small):
    def record(name, returns):
        cell = {"expert": 2.0, "return": returns}
        return {
            "loss": {"name": name, "reads": []},
            "tuned": {"settings": {}, "learning_rate": 0.1},
            "situations": {"few": cell, "many": cell},
        }

    own = record("mine", [[1.0, 1.2], [1.4, None]])
    kept = json.loads(verdict.kept({"orpo": record("orpo", [[0.8, 1.0], [1.2, 1.0]])}, small))
    assert kept["sealed"] == small.digest
    table = verdict.rows(own, kept["losses"])
    assert [row.name for row in table] == ["orpo", "mine"]
    np.testing.assert_allclose([row.score.mean for row in table], [0.5, 0.45])
    np.testing.assert_allclose(table[0].gap.mean, -0.05, atol=1e-6)
    assert jnp.isfinite(table[0].gap.low)
    assert os.sep not in verdict.folder("found/bandit-noisy")
