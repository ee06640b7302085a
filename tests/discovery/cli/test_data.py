import hashlib
import json
import re

import numpy as np
import pytest

from discovery.cli import main
from envs import data


@pytest.fixture
def discovery(capsys):
    """Run `discovery data …`, and return exit status, stdout and stderr."""

    def run(*arguments):
        status = main(["data", *map(str, arguments)])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def test_make_and_show(discovery, tmp_path):
    out = tmp_path / "d.npz"
    request = ("--task", "reach", "--kind", "noisy", "--flip", 0.25, "--rows", 400, "--seed", 3)
    status, said, errors = discovery("make", *request, "--out", out)
    assert (status, errors) == (0, "")
    assert re.search(r"rows +400 comparisons of 2 responses", said)
    assert "100 rankings flipped (25.0%)" in said
    figure = tmp_path / "h.png"
    assert discovery("show", out, "--figure", figure) == (0, said, "")
    assert figure.stat().st_size > 10_000
    assert data.load(out).about.recipe.seed == 3


def test_json_says_the_same(discovery, tmp_path):
    out = tmp_path / "d.npz"
    _, made, _ = discovery("make", "--task", "reach", "--rows", 40, "--out", out, "--json")
    _, shown, _ = discovery("show", out, "--json")
    assert made == shown
    values = json.loads(shown)
    assert values["rows"] == 40
    assert values["winners"]["mean"] > values["losers"]["mean"]
    assert values["meetings"][0]["better"] == "expert"
    assert values["about"]["recipe"]["sha256"] == data.load(out).about.recipe.digest


def test_the_same_request_gives_the_same_file(discovery, tmp_path):
    for name in ("a.npz", "b.npz"):
        discovery("make", "--task", "reach", "--rows", 40, "--out", tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_import_own_arrays(discovery, tmp_path):
    source, out = tmp_path / "mine.npz", tmp_path / "d.npz"
    fields = {"inputs": np.array([[3, 3], [4, 4]]), "outputs": np.ones((2, 2, 6), int)}
    np.savez(source, rank=np.array([[1, 0], [0, 1]]), allow_pickle=False, **fields)
    status, said, _ = discovery("import", source, "--out", out, "--vocabulary", 5)
    assert status == 0
    assert re.search("task +not one of this package", said)
    assert data.load(out).about.vocabulary == 5
    np.savez(source, rank=np.array([[1, 0], [1, 1]]), allow_pickle=False, **fields)
    status, _, errors = discovery("import", source, "--out", tmp_path / "e.npz")
    assert status == 2
    assert "mine.npz: row 1: rank is [1, 1]" in errors
    assert not (tmp_path / "e.npz").exists()


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (["--task", "hoper"], "'hopper'"),
        (["--kind", "nosy"], "'noisy'"),
        (["--rows", "0"], "rows must be at least 1"),
        (["--responses", "1"], "at least 2 responses"),
        (["--horizon", "0"], "whole number ≥ 1, not 0"),
        (["--temperature", "0"], "must be > 0"),
        (["--temperature=-1"], "must be > 0"),
        (["--flip", "1.5"], "≤ 1, not 1.5"),
        (["--flip=-0.1"], "≥ 0 and ≤ 1, not -0.1"),
        (["--judge", "strict"], "known are high, low, medium, perfect"),
        (["--expert", "best"], "unknown agent of reach 'best'"),
    ],
)
def test_a_wrong_request_is_one_line_and_status_2(discovery, tmp_path, choices, message):
    usual = ("--task", "reach", "--rows", 8, "--out", tmp_path / "d.npz")
    status, said, errors = discovery("make", *usual, *choices)
    assert (status, said) == (2, "")
    assert message in errors
    assert errors.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_show_refuses_what_is_no_dataset(discovery, tmp_path):
    assert discovery("show", tmp_path / "none.npz")[0] == 2
    (tmp_path / "text.npz").write_text("hello")
    status, _, errors = discovery("show", tmp_path / "text.npz")
    assert status == 2
    assert "text.npz is no dataset" in errors


@pytest.fixture
def pairs(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        {"q": [1], "chosen": rng.integers(0, 100, 4).tolist(), "rejected": [row + 1]}
        for row in range(6)
    ]
    rows[2]["chosen"] = []
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_import_pairs_and_show_where_they_are_from(discovery, tmp_path, pairs):
    out = tmp_path / "d.npz"
    usual = ("import", pairs, "--task", "token_bandit", "--out", out)
    status, _, errors = discovery(*usual)
    assert (status, out.exists()) == (2, False)
    assert errors.count("\n") == 1
    assert "has no column 'prompt', only q, chosen, rejected: say which holds it" in errors
    status, said, errors = discovery(*usual, "--columns", "prompt=q")
    assert (status, errors) == (0, "")
    assert discovery("show", out) == (0, said, "")
    assert re.search(r"source +pairs.jsonl, lines of JSON: 6 rows read", said)
    assert re.search(r"left out +1 with an empty response", said)
    assert re.search(r"judge +as the source has it", said)
    for wrong in (["prompt"], ["=q"], ["prompt=q", "--columns", "prompt=r"]):
        status, _, errors = discovery(*usual, "--columns", *wrong)
        assert status == 2
        assert "must be WHAT=COLUMN, each once" in errors


def test_a_judge_by_its_path_ranks_what_is_made_and_imported(discovery, tmp_path, pairs):
    judge = tmp_path / "mine.py"
    judge.write_text("def first(inputs, outputs, mask):\n    return outputs[0].astype(float)\n")
    out = tmp_path / "d.npz"
    names = ("--columns", "prompt=q", "--judge", f"{judge}:first", "--temperature", 2, "--seed", 5)
    status, said, _ = discovery(
        "import", pairs, "--task", "token_bandit", "--out", out, *names, "--flip", 0.5
    )
    assert status == 0
    digest = hashlib.sha256(judge.read_bytes()).hexdigest()[:8]
    assert f"temperature 2, by mine.py:first (sha256 {digest}), 50.0% flipped; seed 5" in said
    made = ("make", "--task", "token_bandit", "--rows", 30, "--out", out)
    status, said, _ = discovery(*made, "--judge", f"{judge}:first")
    assert status == 0
    assert f"perfect, by mine.py:first (sha256 {digest}), 0 rankings flipped" in said
    dataset = data.load(out)
    assert np.all(dataset.outputs[:, 0, 0] >= dataset.outputs[:, 1, 0])
    assert data.Recipe.from_json(dataset.about.recipe.as_json()) == dataset.about.recipe
    status, _, errors = discovery(*made, "--judge", f"{judge}:second")
    assert (status, errors.count("\n")) == (2, 1)
    assert "has no function 'second'" in errors
    status, _, errors = discovery(*made, "--judge", f"{tmp_path / 'none.py'}:f")
    assert (status, "no such file" in errors) == (2, True)
