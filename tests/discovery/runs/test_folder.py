"""A folder belongs to one run and one process at a time, and nothing is written on a refusal."""

import dataclasses
import json
import os
import subprocess
import sys

import pytest

from discovery import config
from discovery.runs import Folder
from mpo.errors import RequestError


def files(path):
    return sorted(str(p.relative_to(path)) for p in path.rglob("*"))


def test_a_folder_remembers_what_it_was_begun_with(tmp_path, tiny):
    folder = Folder(tmp_path / "a" / "run")
    with folder.claimed(tiny):
        assert config.from_json(json.loads(folder.config.read_text())) == tiny
    with folder.claimed(tiny):
        pass


def test_another_description_is_refused_with_the_difference(tmp_path, tiny):
    folder = Folder(tmp_path / "run")
    with folder.claimed(tiny):
        pass
    other = config.changed(tiny, {"search.sigma": 0.1, "seed": 4})
    before = folder.config.read_text()
    with pytest.raises(RequestError, match=r"search\.sigma: 0\.1, was 0\.4; seed: 4, was 0"):
        folder.claimed(other).__enter__()
    assert folder.config.read_text() == before


@pytest.mark.slow
def test_a_second_process_is_refused_while_the_first_is_at_work(tmp_path, tiny):
    folder = Folder(tmp_path / "run")
    program = (
        "import sys, json; from pathlib import Path\n"
        "from discovery import config; from discovery.runs import Folder\n"
        "from mpo.errors import RequestError\n"
        "described = config.from_json(json.loads(sys.argv[2]))\n"
        "try:\n"
        "    with Folder(Path(sys.argv[1])).claimed(described): print('mine')\n"
        "except RequestError as error: print(error)\n"
    )
    command = [sys.executable, "-c", program, str(folder.path), json.dumps(tiny.as_json())]
    with folder.claimed(tiny):
        refused = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"another process ({os.getpid()}) is at work" in refused
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "mine\n"


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path, tiny):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(RequestError, match="holds files that are no run's"):
        Folder(tmp_path).claimed(tiny).__enter__()
    assert files(tmp_path) == ["thesis.txt"]


@pytest.mark.parametrize("content", ["", "{", "\xff", "[]"])
def test_a_config_that_cannot_be_read_is_refused(tmp_path, tiny, content):
    (tmp_path / "config.json").write_bytes(content.encode("latin1"))
    with pytest.raises(RequestError, match=r"cannot be read|is damaged"):
        Folder(tmp_path).claimed(tiny).__enter__()


def test_a_place_that_cannot_be_written_to_is_refused(tmp_path, tiny):
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match="cannot write to"):
        Folder(tmp_path / "file" / "run").claimed(tiny).__enter__()


def test_a_lock_left_by_a_dead_process_holds_up_nobody(tmp_path, tiny):
    folder = Folder(tmp_path)
    with folder.claimed(tiny):
        pass
    (tmp_path / "lock").write_text("99999999\n")
    with folder.claimed(dataclasses.replace(tiny)):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
