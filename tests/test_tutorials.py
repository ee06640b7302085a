"""Every code block of the tutorials is run, in the order of its page.

A block that has a title is a file of that name; other Python is executed, and lines of a shell
are carried out. Sizes are cut: what runs is the command as it stands, with the settings of `CUT`
on top.
"""

import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer.main

import mpo
from discovery.cli import main
from discovery.cli.app import app
from discovery.host import startup
from envs import data
from envs.registry import TASKS
from mpo.train import SLOPES

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = [DOCS / "start.md", *sorted((DOCS / "tutorials").glob("*.md"))]
NEEDS_TORCH = {"start", "my-data", "my-own", "trl"}
FENCE = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.DOTALL | re.MULTILINE)

_SEARCH = {
    "training.hyper.updates": 40, "search.population": 4, "search.generations": 1,
    "search.episodes": 4, "evaluation.seeds": 2, "evaluation.episodes": 4,
    "evaluation.selection_seeds": 1, "evaluation.tune": "false",
}  # fmt: skip
CUT = {
    "run": ["--quiet", *(f"--set={name}={value}" for name, value in _SEARCH.items())],
    "train": ["--quiet", "--set=training.hyper.updates=200"],
    "evaluate": ["--seeds=2", "--episodes=4", "--set=training.hyper.updates=40"],
    "fit": ["--terms=1"],
    "landscape": ["--points=11"],
    "finetune": [
        *("--scale=test", "--rows=32", "--held-out=16", "--seeds=2", "--tune-seeds=1"),
        "--new-tokens=8",
    ],
}
"""What stands behind each command here."""


class Block(NamedTuple):
    """A block of code: its language, the file that it is if it is one, and the text."""

    language: str
    title: str
    text: str


def blocks(page: Path) -> list[Block]:
    return [Block(*found) for found in FENCE.findall(page.read_text())]


def lines(text: str) -> list[list[str]]:
    """Return the commands of a shell block as words, comments left out."""
    words = [shlex.split(line, comments=True) for line in text.replace("\\\n", " ").splitlines()]
    return [line for line in words if line]


every = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)


@every
def test_every_command_can_be_read_and_every_program_compiled(page):
    for block in blocks(page):
        if block.language == "python":
            compile(block.text, block.title or page.name, "exec")
        for words in lines(block.text) if block.language in ("sh", "bash") else ():
            if "discovery" in words:
                understood(words[words.index("discovery") + 1 :])


def understood(words):
    """Refuse a command that does not exist, or options that it has not."""
    while words[0] == "--with":
        words = words[2:]
    command = typer.main.get_command(app)
    while hasattr(command, "commands"):
        command, words = command.commands[words[0]], words[1:]
    assert command.make_context("", [word for word in words if word != "&"])


@contextmanager
def process_of_its_own() -> Iterator[None]:
    """Leave no registration and no module behind."""
    tables: tuple[dict[str, Any], ...] = (
        *(mpo.OBJECTIVES, mpo.POTENTIALS, TASKS, data.KINDS, SLOPES),
    )
    before, modules = [dict(table) for table in tables], {*sys.modules}
    yield
    for table, old in zip(tables, before, strict=True):
        table.clear()
        table.update(old)
    for name in {*sys.modules} - modules:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if Path(file).is_relative_to(Path.cwd()):
            del sys.modules[name]


def carried_out(words: list[str]) -> None:
    if words[0] == "pip":
        return  # what it installs is what runs here
    if words[0] == "python":
        runpy.run_path(words[1], run_name="__main__")
        return
    assert words[0] == "discovery", words
    cut = next((CUT[word] for word in words if word in CUT), [])
    assert main([*words[1:], *cut]) == 0, words


def several_at_once(text: str, folder: Path) -> None:
    """Run a block in a shell, for commands that are to run side by side."""
    program = "import sys; from discovery.cli import main; sys.exit(main(sys.argv[1:]))"
    wrapper = folder / "bin" / "discovery"
    wrapper.parent.mkdir()
    cut = shlex.join(CUT["run"])
    wrapper.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{program}' \"$@\" {cut}\n")
    wrapper.chmod(0o755)
    path = f"{wrapper.parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["bash", "-ec", text], cwd=folder, env=os.environ | {"PATH": path}, check=True)


@every
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what transformers and trl say of each other
def test_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch):
    if page.stem in NEEDS_TORCH:
        pytest.importorskip("trl", reason="needs the [llm] extra")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("DISCOVERY_CACHE", str(tmp_path / "cache"))
    # The devices and the compilation cache are those of the process of the tests.
    monkeypatch.setattr(startup, "host_devices", lambda count=None: None)
    monkeypatch.setattr(startup, "compilation_cache", lambda: None)
    variables: dict[str, Any] = {}
    for block in blocks(page):
        with process_of_its_own():
            if block.title:
                Path(block.title).write_text(block.text)
            elif block.language == "python":
                exec(compile(block.text, page.name, "exec"), variables)
            elif " &\n" in block.text:
                several_at_once(block.text, tmp_path)
            else:
                assert block.language == "sh", "say what runs it, or give it the name of a file"
                for words in lines(block.text):
                    carried_out(words)
