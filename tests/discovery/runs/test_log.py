"""The lines of a run: strict JSON, whole or not there, and cut where the checkpoint is."""

import json

from mpo import jsonlines as log


def test_lines_come_back(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for generation in range(3):
        log.append(path, {"generation": generation, "split": {"train": 0.5}})
    assert [line["generation"] for line in log.lines(path)] == [0, 1, 2]
    assert log.lines(tmp_path / "none") == []


def test_numbers_that_are_not_finite_are_written_as_null(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log.append(path, {"generation": 0, "mean": float("nan"), "split": {"a": float("inf")}})
    written = json.loads(path.read_text(), parse_constant=lambda name: 1 / 0)
    assert written == {"generation": 0, "mean": None, "split": {"a": None}}


def test_a_line_that_was_cut_off_is_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log.append(path, {"generation": 0})
    with path.open("a") as file:
        file.write('{"generation": 1, "mea')
    assert log.lines(path) == [{"generation": 0}]


def test_generations_that_no_checkpoint_knows_are_cut(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for generation in range(4):
        log.append(path, {"generation": generation})
    assert [line["generation"] for line in log.cut(path, 2)] == [0, 1]
    log.append(path, {"generation": 2})
    assert [line["generation"] for line in log.lines(path)] == [0, 1, 2]
