"""Whose a folder is: the same request goes on in it, any other changes nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpo.claim import LOCK, Claim, differences, locked, waited_for
from mpo.errors import RequestError

REQUEST = {"seed": 1, "search": {"sigma": 0.2, "tries": (1, 2)}, "data": [{"kind": "base"}]}


@pytest.fixture
def claim(tmp_path):
    return Claim(tmp_path / "run", "config.json", "run")


def test_the_same_request_goes_on(claim):
    for _ in range(2):
        with claim.held(REQUEST):
            assert claim.read() == json.loads(json.dumps(REQUEST))


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (REQUEST | {"seed": 2}, "seed: 2, was 1"),
        (REQUEST | {"search": {"sigma": 0.2}}, "search.tries: left out"),
        (REQUEST | {"data": [{"kind": "noisy"}]}, "data.0.kind"),
    ],
)
def test_another_request_is_refused_and_changes_nothing(claim, other, says):
    with claim.held(REQUEST):
        pass
    before = claim.path.read_bytes()
    with pytest.raises(RequestError, match=says), claim.held(other):
        raise AssertionError
    assert claim.path.read_bytes() == before


def test_files_of_somebody_else_are_left_alone(claim):
    claim.folder.mkdir()
    (claim.folder / "notes.txt").write_text("mine")
    with pytest.raises(RequestError, match="no run's"), claim.held(REQUEST):
        raise AssertionError
    assert [path.name for path in claim.folder.iterdir()] == ["notes.txt"]


def test_killed_while_it_was_written_it_is_taken_again(claim, monkeypatch):
    def killed(handle):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", killed)
        patch.setattr(Path, "unlink", lambda *_, **__: None)  # who is killed tidies nothing up
        with pytest.raises(KeyboardInterrupt), claim.held(REQUEST):
            raise AssertionError
    assert [path.name for path in claim.folder.iterdir() if path.name != LOCK] != []
    with claim.held(REQUEST):
        pass
    assert {path.name for path in claim.folder.iterdir()} == {LOCK, "config.json"}


@pytest.mark.parametrize("text", ["{", "[]", "", "3"])
def test_a_damaged_request_is_said(claim, text):
    claim.folder.mkdir()
    claim.path.write_text(text)
    with pytest.raises(RequestError, match=r"config\.json"), claim.held(REQUEST):
        raise AssertionError


words = st.sampled_from("abc")


@given(st.dictionaries(words, st.integers(0, 1)), st.dictionaries(words, st.integers(0, 1)))
def test_a_growing_table_has_the_entries_of_both_unless_one_differs(tmp_path_factory, mine, theirs):
    folder = tmp_path_factory.mktemp("grown")
    claim = Claim(folder, "asked.json", "evaluation", growing=("objectives",), noted=("by",))
    claim.write({"objectives": mine, "by": "me"})
    request = {"objectives": theirs, "by": "them"}
    if any(mine[name] != theirs[name] for name in mine.keys() & theirs.keys()):
        with pytest.raises(RequestError, match=r"objectives\."):
            claim.write(request)
        assert claim.read() == {"objectives": mine, "by": "me"}
    else:
        assert claim.write(request) == claim.read() == {"objectives": mine | theirs, "by": "me"}


@pytest.mark.sweep
def test_a_process_at_work_is_named_and_a_dead_one_holds_up_nobody(tmp_path):
    """Another process may hold the lock, and dies without giving it back."""
    program = (
        "import sys; from pathlib import Path; from mpo.claim import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdin is not None
    assert other.stdout is not None
    with other.stdin, other.stdout:
        assert other.stdout.readline() == b"held\n"
        said = rf"another process \({other.pid}\)"
        with pytest.raises(RequestError, match=said), locked(tmp_path):
            raise AssertionError
        other.kill()
        other.wait()
    with locked(tmp_path):
        assert (tmp_path / LOCK).exists()


def test_where_nothing_can_be_written_is_said_with_what_to_do(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(RequestError, match=r"cannot write .* elsewhere"),
        waited_for(tmp_path / "file" / "lock", "elsewhere"),
    ):
        raise AssertionError


json_values = st.recursive(
    st.none() | st.booleans() | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2),
    max_leaves=6,
)
tables = st.dictionaries(words, json_values)


@given(tables, tables)
def test_what_is_not_equal_has_a_line(one, other):
    assert differences(one, one) == []
    assert len(differences(one, other)) == len(differences(other, one))
    if not differences(one, other):
        assert _said(one) == _said(other)


def _said(value):
    """Return a value without entries of tables that say nothing."""
    if isinstance(value, dict):
        return {k: _said(v) for k, v in value.items() if v is not None}
    return [_said(one) for one in value] if isinstance(value, list) else value
