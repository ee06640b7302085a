"""The command as a user meets it: exit status, one-line errors, JSON."""

import json
import re

import numpy as np
import pytest

from discovery.cli import main
from mpo import OBJECTIVES


def test_list_names_everything_in_json(capsys):
    assert main(["list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert set(listed["objectives"]) == set(OBJECTIVES)
    assert all(line for group in listed.values() for line in group.values())


def test_list_says_what_is_found_is_worth_against_tuned_objectives(capsys):
    assert main(["list", "--json"]) == 0
    for line in json.loads(capsys.readouterr().out)["objectives found"].values():
        assert re.search(
            r" data: \S+ ± \S+, where orpo tuned earned \S+ ± \S+ \(\d+ seeds\)$", line
        )


def test_list_is_readable_without_a_terminal(capsys):
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    assert "rpo_sqloo" in text
    assert "\x1b" not in text


def test_landscape_draws_and_saves_what_it_drew(tmp_path, capsys):
    out = tmp_path / "new" / "folder"
    arguments = ["landscape", "dpo", "orpo", "--out", str(out), "--points", "21", "--json"]
    assert main(arguments) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (out / "landscape.png").stat().st_size > 10_000
    with np.load(out / "landscape.npz") as file:
        saved = dict(file)
    assert saved["dpo"].shape == (21, 21, 2)
    # DPO pulls and pushes alike, at most by β; ORPO always pulls by more than 1.
    np.testing.assert_allclose(saved["dpo"][..., 0], saved["dpo"][..., 1], rtol=1e-5)
    assert saved["dpo"].max() <= 0.1
    assert saved["orpo"][..., 0].min() >= 1
    assert printed["largest"]["orpo"]["chosen"] == pytest.approx(saved["orpo"][..., 0].max())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["landscape", "dpoo"], "'dpo'"),
        (["landscape", "dpo", "--points", "1"], "at least 2 points"),
        (["landscape", "dpo", "--low", "0", "--high", "-1"], "low < high"),
        (["landscape", "dpo", "--progress", "2"], "--progress"),
        (["landscapes"], "No such command"),
        (["landscape"], "Missing"),
    ],
)
def test_a_wrong_request_is_status_2_one_line_and_writes_nothing(
    arguments, says, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir())


def test_a_failure_in_the_work_is_status_1_and_debug_shows_where(tmp_path, capsys):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    arguments = ["landscape", "sft", "--points", "3", "--out", str(blocked)]
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--debug shows where" in error
    assert main(["--debug", *arguments]) == 1
    assert "Traceback" in capsys.readouterr().err
