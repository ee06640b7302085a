"""Logs: strict JSON, lines that are whole or not there, whatever byte a write was cut off at."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpo.log import JsonLog, Log

LINES = [{"generation": number, "split": {"train": number / 7}} for number in range(4)]


@pytest.fixture
def log(tmp_path):
    return JsonLog(tmp_path / "folder" / "metrics.jsonl")


def test_lines_come_back(log):
    assert log.lines() == []
    for line in LINES:
        log.add(line)
    assert log.lines() == LINES


def test_numbers_that_are_not_finite_are_written_as_null(log):
    log.add({"generation": 0, "mean": float("nan"), "split": {"a": float("inf")}})
    written = json.loads(log.path.read_text(), parse_constant=lambda name: 1 / 0)
    assert written == {"generation": 0, "mean": None, "split": {"a": None}}


@given(left=st.integers(0, 200))
def test_cut_off_at_any_byte_it_has_its_whole_lines_and_goes_on(tmp_path_factory, left):
    log = JsonLog(tmp_path_factory.mktemp("cut") / "log")
    for line in LINES:
        log.add(line)
    content = log.path.read_bytes()[:left]
    log.path.write_bytes(content)
    whole = LINES[: content.count(b"\n")]
    assert log.lines() == whole
    assert log.path.read_bytes() == content, "reading changes nothing"
    log.add(LINES[0])
    assert log.lines() == [*whole, LINES[0]]


def test_a_line_that_is_none_is_passed_over(log):
    """Earlier versions began a new line after half of one."""
    log.add(LINES[0])
    Log(log.path).write(['{"generation": 1, "mea', "[]"])
    log.add(LINES[2])
    assert log.lines() == [LINES[0], LINES[2]]


def test_lines_that_are_not_to_be_kept_are_dropped(log):
    for line in LINES:
        log.add(line)
    assert log.cut(lambda line: line["generation"] < 2) == LINES[:2]
    assert log.lines() == LINES[:2]
