"""`discovery evaluate` and wrong requests: one line, status 2, nothing written, nothing lost."""

import json

import pytest

from discovery.cli import main
from discovery.host import startup

TINY = ["--preset", "quick", "--set", "data.rows=16", "--set", "training.hyper.updates=2"]
SMALL = ["--seeds", "2", "--episodes", "2"]


@pytest.fixture(autouse=True)
def _process_as_it_is(monkeypatch):
    """Leave the devices and the compilation cache of the process of the tests alone."""
    monkeypatch.setattr(startup, "host_devices", lambda: None)
    monkeypatch.setattr(startup, "compilation_cache", lambda: None)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([*TINY, *SMALL], "no objective was given"),
        ([*TINY, *SMALL, "--objective", "dpoo"], "'dpo'"),
        ([*TINY, *SMALL, "--objective", "found/nothing"], "unknown objective 'found/nothing'"),
        ([*TINY, *SMALL, "--objective", "runs/nowhere"], "no objective at runs/nowhere"),
        ([*TINY, *SMALL, "--objective", "begun"], "a run writes it when it ends"),
        ([*TINY, *SMALL, "--objective", "broken.json"], "is damaged"),
        ([*TINY, *SMALL, "--objective", "orpo", "--objective", "orpo"], "given twice"),
        ([*TINY, "--objective", "orpo", "--seeds", "0"], "seeds is 0"),
        ([*TINY, "--objective", "orpo", "--seeds", "-3"], "seeds is -3"),
        ([*TINY, "--objective", "orpo", "--episodes", "0"], "episodes is 0"),
        ([*TINY, *SMALL, "--objective", "orpo", "--seed", "-1"], "'seed' of the run must"),
        ([*TINY, *SMALL, "--objective", "orpo", "--set", "data.kind=odd"], "unknown dataset kind"),
        ([*TINY, *SMALL, "--objective", "orpo", "--level", "900"], "unknown"),
        ([*TINY, *SMALL, "--objective", "orpo", "--tuned", "begun"], "holds no tuned settings"),
        (["--task", "hoper", *SMALL, "--objective", "orpo"], "'hopper'"),
        ([*SMALL, "--objective", "orpo"], "either --task NAME or --preset NAME"),
        ([*TINY, *SMALL, "--objective", "orpo", "--out", "begun"], "holds files that are no"),
        ([*TINY, *SMALL, "--objective", "orpo", "--out", "broken.json/x"], "cannot write to"),
    ],
)
def test_a_wrong_request_is_one_line_and_writes_nothing(
    arguments, says, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "config.json").write_text("{}")
    (tmp_path / "broken.json").write_text('{"kind": "objective"')
    before = sorted(tmp_path.rglob("*"))
    out = [] if "--out" in arguments else ["--out", "new"]
    assert main(["evaluate", *arguments, *out]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([*TINY, "--objective", "orpo", "--out", "file/t.json"], "cannot write file/t.json"),
        ([*TINY, "--objective", "orpo", "--out", "file"], "holds no tuned settings"),
        ([*TINY, "--objective", "orpo", "--out", "t.json", "--seeds", "0"], "at least 1"),
        ([*TINY, "--objective", "dpoo", "--out", "t.json"], "'dpo'"),
    ],
)
def test_a_tuning_that_cannot_be_is_refused_before_it_begins(
    arguments, says, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    assert main(["tune", *arguments]) == 2
    assert says in capsys.readouterr().err
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("returns.csv", "objective,seed,return\norpo,first,0.5\n", "holds no returns"),
        ("returns.csv", "objective,seed,return\norpo,0\n", "holds no returns"),
        ("returns.csv", b"\xff\xfe\n", "holds no returns"),
        ("evaluation.json", "[]", "is damaged"),
        ("evaluation.json", '{"episodes"', "cannot be read"),
    ],
)
def test_a_damaged_folder_is_one_line_and_is_left_as_it_is(
    file, content, says, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    command = ["evaluate", *TINY, *SMALL, "--objective", "orpo", "--out", "e"]
    assert main(command) == 0
    text = content if isinstance(content, bytes) else content.encode()
    (tmp_path / "e" / file).write_bytes(text)
    assert main(command) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert says in error
    assert (tmp_path / "e" / file).read_bytes() == text


def test_json_is_strict_and_complete_where_everything_fails(tmp_path, capsys, monkeypatch):
    """A learning rate that no training survives: the table says so, in numbers that JSON has."""
    monkeypatch.chdir(tmp_path)
    command = [
        "evaluate", *TINY, *SMALL, "--set", "training.hyper.learning_rate=1e38",
        "--objective", "rpo_sq", "--objective", "orpo", "--out", "e", "--json",
    ]  # fmt: skip
    assert main(command) == 0
    printed = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    held = json.loads((tmp_path / "e" / "results.json").read_text(), parse_constant=pytest.fail)
    assert printed["rows"] == held["rows"]
    assert [row["mean"]["failed"] for row in held["rows"]] == [2, 0]
    assert "all 2 failed" in (tmp_path / "e" / "table.md").read_text()
