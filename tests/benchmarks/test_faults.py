"""What the page of reliability promises, with a few trials of every fault."""

import importlib.util
from pathlib import Path

import pytest

import discovery
from benchmarks.faults.table import PARTS, markdown, measure, of_plain, plain
from benchmarks.faults.trials import Row, attempt
from mpo.errors import RequestError

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_nothing_surprises(part, tmp_path):
    discovery.start()
    rows = list(measure(tmp_path, 8, (part,)))
    assert rows
    assert not [said for row in rows for said in row.surprises]
    assert all(row.trials == row.refused + row.whole > 0 for row in rows)


def refuse(said):
    raise RequestError(said)


@pytest.mark.parametrize(
    ("act", "how"),
    [
        (lambda: 1, "whole"),
        (lambda: 2, "surprise"),
        (lambda: refuse("a line"), "refused"),
        (lambda: refuse(""), "surprise"),
        (lambda: 1 / 0, "surprise"),
    ],
)
def test_a_trial_can_fail(act, how):
    assert attempt(act, lambda found: found == 1).how == how


def test_the_page_has_the_table_of_the_kept_results():
    spec = importlib.util.spec_from_file_location("reliability", DOCS / "reliability.py")
    assert spec is not None
    assert spec.loader is not None
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    assert page.PAGE.read_text().partition(page.MARK)[2].strip() == page.said().strip()
    rows = [Row("a fault", "a promise", 3, 1, 1, ("it was executed",))]
    assert of_plain(plain(rows)) == rows
    assert "it was executed" in markdown(rows)
