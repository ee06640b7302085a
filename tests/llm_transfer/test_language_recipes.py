"""The commands and programs that docs/language-models.md shows are ones that exist."""

import ast
import importlib
import re
import shlex
from pathlib import Path

import pytest
import typer.main

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "language-models.md").read_text()
COMMANDS = re.findall(r"^ +discovery ((?:.*\\\n)*.*)", PAGE, flags=re.MULTILINE)
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)

pytestmark = pytest.mark.llm


def test_the_page_shows_commands_and_programs():
    assert len(COMMANDS) >= 3
    assert len(PROGRAMS) >= 5


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_can_be_read(command):
    from discovery.cli.app import app

    name, *arguments = shlex.split(command.replace("\\\n", " "))
    asked = typer.main.get_command(app).commands[name]
    assert asked.make_context(name, arguments).params


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_names_what_there_is(program):
    """Of this package: what other projects have is read in their sources, not installed here."""
    pytest.importorskip("trl", reason="needs the [llm] extra")
    for node in ast.walk(ast.parse(program)):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("llm_transfer"):
            module = importlib.import_module(str(node.module))
            assert all(hasattr(module, alias.name) for alias in node.names)
