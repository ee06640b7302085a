"""The display of a run in a notebook's cell."""

import sys
from contextlib import ExitStack
from types import ModuleType

import pytest

from discovery.runs import watch
from discovery.runs.watch import Lines, Notebook, Rates
from tests.discovery.runs.test_follow import line

RATES = Rates(generations=4, agents=8, steps=100)


class Cell:
    """What a cell shows: its content is written over."""

    def __init__(self):
        self.contents = []

    def display(self, content, *, raw, display_id):
        assert raw
        assert display_id
        self.contents.append(content)
        return self

    def update(self, content, *, raw):
        assert raw
        self.contents.append(content)


@pytest.fixture
def cell(monkeypatch):
    found = Cell()
    monkeypatch.setattr("IPython.display.display", found.display)
    return found


def test_a_cell_shows_the_phase_the_bar_and_the_last_generation(cell):
    notebook = Notebook(RATES)
    notebook.say("a line <of> a file")
    notebook.phase("searching")
    notebook.generation(line(0, not_finite=0, split={"train": 1.0, "score": 1.0}))
    notebook.generation(line(1, not_finite=0, split={"train": 2.0, "score": 1.0}))
    said, bar, words = cell.contents[-1]["text/plain"].split("\n")
    assert said == "a line <of> a file"
    assert bar.startswith("searching")
    assert bar.endswith(" 2/4")
    assert bar.count("█") == bar.count("░")
    assert "4.0 agents/s" in words
    assert "<of>" not in cell.contents[-1]["text/html"]


def test_it_is_shown_where_there_is_a_kernel_and_nowhere_else(cell, monkeypatch):
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    with ExitStack() as stack:
        assert isinstance(watch.fitting(RATES, stack), Lines)
        monkeypatch.setitem(sys.modules, "ipykernel", ModuleType("ipykernel"))
        assert isinstance(watch.fitting(RATES, stack), Notebook)
