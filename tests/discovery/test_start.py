"""What a start imports, and what one start leaves for the next."""

import json
import os
import subprocess
import sys

import pytest

import mpo
from discovery.cli import listing, main
from discovery.host import remembered as module
from discovery.host.remembered import remembered

HEAVY = ("jax", "flax", "optax", "torch", "matplotlib", "sympy", "scipy", "brax", "numpy")

STARTS = f"""
import contextlib, io, json, sys
from discovery.cli import main
for command in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as said:
        assert main(command) == 0, command
    assert said.getvalue(), command
    assert not (found := [name for name in {HEAVY} if name in sys.modules]), (command, found)
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DISCOVERY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_help_and_a_second_list_import_nothing_that_takes_time(cache):
    for what in ("names", "points"):
        remembered(what, lambda: {"objectives": {"dpo": "a line"}})
    commands = [
        ["list"], ["list", "--json"], ["list", "--family"], ["--help"], ["agents", "--help"],
        *([name, "--help"] for name in ("run", "train", "evaluate", "landscape", "recommend",
                                        "paper", "export", "finetune", "watch")),
    ]  # fmt: skip
    command = [sys.executable, "-c", STARTS, json.dumps(commands)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr


def made(value):
    """Return a maker of a value, and how often it was asked."""
    asked = []

    def make():
        asked.append(value)
        return value

    return make, asked


def test_it_is_made_once(cache):
    make, asked = made({"a": {"b": "π"}})
    assert remembered("it", make) == remembered("it", make) == {"a": {"b": "π"}}
    assert len(asked) == 1
    assert [path.name for path in (cache / "remembered").iterdir()] == ["it.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b"{}", b'{"code": 1}'])
def test_a_damaged_cache_is_made_anew(cache, content):
    make, asked = made(1)
    remembered("it", make)
    (cache / "remembered" / "it.json").write_bytes(content)
    assert remembered("it", make) == remembered("it", make) == 1
    assert len(asked) == 2


def test_other_code_makes_it_anew(cache, monkeypatch, tmp_path):
    make, asked = made(1)
    remembered("it", make)
    (tmp_path / "new.py").write_text("x = 1")
    package = type(sys)("package")
    package.__path__ = [str(tmp_path)]
    monkeypatch.setattr(module, "envs", package)
    remembered("it", make)
    (tmp_path / "new.py").write_text("x = 12")
    remembered("it", make)
    assert len(asked) == 3


@pytest.mark.parametrize("place", ["file/cache", "~nobody-of-this-name/cache"])
def test_without_a_cache_it_is_made_every_time(tmp_path, monkeypatch, place):
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISCOVERY_CACHE", place)
    make, asked = made(1)
    assert remembered("it", make) == remembered("it", make) == 1
    assert len(asked) == 2


def test_what_was_registered_is_listed_whatever_is_remembered(
    cache, capsys, registries_as_they_were
):
    remembered("names", listing._names)
    mpo.OBJECTIVES["mine"] = mpo.OBJECTIVES["dpo"]
    assert main(["list", "--json"]) == 0
    assert "mine" in json.loads(capsys.readouterr().out)["objectives"]


def test_modules_of_a_package_are_found_and_other_names_are_not():
    assert mpo.paths.get(mpo.objective("dpo", beta=0.5), "beta") == 0.5
    assert {"objective", "Comparison"} <= set(dir(mpo))
    with pytest.raises(AttributeError, match="'mpo' has no attribute 'objectiv'"):
        mpo.objectiv  # noqa: B018
