"""What docs/export.md shows is what is printed, and its table is of what there is."""

import re
from pathlib import Path

import pytest

import llm_transfer
from llm_transfer.snippets.recipes import RECIPES

pytest.importorskip("torch", reason="needs the [llm] extra")
pytestmark = pytest.mark.llm

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "export.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def _program(text):
    return text[text.index("import torch") :]


def test_the_page_shows_what_is_printed():
    shown, text = BLOCKS[0], llm_transfer.export("orpo")
    assert _program(shown) == _program(text)
    assert shown.splitlines()[:9] == text.splitlines()[:9]


def test_the_page_shows_the_recipe_for_trl():
    text = llm_transfer.export("orpo", "trl")
    assert BLOCKS[1] == text[text.index("def log_probs") :]


def test_every_recipe_has_a_line_in_the_table_with_the_versions_of_its_header():
    lines = dict(re.findall(r"^\| `([a-z][a-z0-9-]+)` \| ([^|]+) \|", PAGE, flags=re.MULTILINE))
    assert lines.keys() == {*RECIPES, "mlx"}
    for name, recipe in RECIPES.items():
        for version in re.findall(r"\d+\.\d+\.\d+", recipe.tried):
            assert version in PAGE, (name, version)
