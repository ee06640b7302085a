"""Killed, stopped, out of disk: started again, a run ends with the numbers of one that was not."""

import errno
import importlib
import json
import random
import signal
import time

import pytest

from discovery import config
from discovery.runs import discover, trackers
from mpo.errors import RequestError
from tests.discovery.runs.conftest import WHOLE, numbers

slow = pytest.mark.slow


def generations(folder):
    path = folder / "metrics.jsonl"
    return path.read_text().count("\n") if path.exists() else 0


def wait_for(process, folder, count):
    until = time.monotonic() + 240
    while generations(folder) < count:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.005)


def test_a_run_leaves_all_its_files(whole):
    found = {str(p.relative_to(whole)) for p in whole.rglob("*")}
    assert found >= {
        "config.json", "metrics.jsonl", "objective.json", "objective.npz", "results.json",
        "report.md", "figures/search.png", "figures/landscape.png", "checkpoints",
    }  # fmt: skip
    assert [line["generation"] for line in numbers(whole)["lines"]] == [0, 1, 2, 3]


def test_a_finished_run_shows_its_result_again(command, whole):
    before = {p: p.stat().st_mtime_ns for p in whole.rglob("*") if p.name != "lock"}
    done = command.run(whole, "--json")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["returns"] == numbers(whole)["results"]["returns"]
    assert before == {p: p.stat().st_mtime_ns for p in whole.rglob("*") if p.name != "lock"}


@slow
def test_killed_at_random_points_it_ends_with_the_same_numbers(command, whole, tmp_path):
    """SIGKILL while compiling, in a generation, in a checkpoint, or after the search."""
    folder, moment = tmp_path / "run", random.Random(0)
    for before in (0, 1, 2, 4):
        process = command.start(folder)
        if before:
            wait_for(process, folder, before)
        time.sleep(moment.uniform(0.0, 0.1) if before else 2.0)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    done = command.run(folder)
    assert done.returncode == 0, done.stderr
    assert numbers(folder) == numbers(whole)


@slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_it_stops_cleanly_and_goes_on(command, whole, tmp_path, number):
    folder = tmp_path / "run"
    process = command.start(folder)
    wait_for(process, folder, 1)
    process.send_signal(number)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "the same command goes on" in said
    assert "Traceback" not in said
    assert not (folder / "report.md").exists()
    done = command.run(folder)
    assert "going on after generation" in done.stderr
    assert numbers(folder) == numbers(whole)


@slow
def test_a_damaged_checkpoint_costs_a_generation_and_no_number(command, whole, tmp_path):
    folder = tmp_path / "run"
    process = command.start(folder)
    wait_for(process, folder, 3)
    process.kill()
    process.communicate()
    newest = max((p for p in (folder / "checkpoints").iterdir() if p.name.isdigit()),
                 key=lambda p: int(p.name))  # fmt: skip
    for file in newest.rglob("d/*"):
        file.write_bytes(b"")
    done = command.run(folder)
    assert done.returncode == 0, done.stderr
    assert "is damaged" in done.stderr
    assert numbers(folder) == numbers(whole)


@slow
def test_two_devices_continue_what_one_began(command, whole, tmp_path):
    folder = tmp_path / "run"
    process = command.start(folder, devices=1)
    wait_for(process, folder, 2)
    process.kill()
    process.communicate()
    assert command.run(folder, devices=2).returncode == 0
    assert numbers(folder) == numbers(whole)


@slow
def test_a_second_process_is_refused(command, tmp_path):
    folder = tmp_path / "run"
    process = command.start(folder)
    try:
        wait_for(process, folder, 1)
        second = command.run(folder)
    finally:
        process.kill()
        process.communicate()
    assert second.returncode == 2
    assert f"another process ({process.pid}) is at work" in second.stderr


def test_other_settings_are_refused_with_the_difference(command, whole):
    done = command.run(whole, "--set", "search.sigma=0.25")
    assert done.returncode == 2
    assert "search.sigma: 0.25, was 0.4" in done.stderr


def test_a_wrong_request_writes_nothing(command, tmp_path):
    done = command.run(tmp_path / "run", "--set", "search.sigm=0.25")
    assert done.returncode == 2
    assert "did you mean 'sigma'" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("full", ["mpo.jsonlines.append", "mpo.treefile.replace"])
def test_a_full_disk_is_said_and_loses_nothing(command, tmp_path, whole, monkeypatch, full):
    """Writing fails from the third time on: a line of the log, or a file of the result."""
    folder, calls = tmp_path / "run", []
    module, _, name = full.rpartition(".")
    write = getattr(importlib.import_module(module), name)

    def fails(*arguments):
        calls.append(arguments)
        if len(calls) > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(full, fails)
        with pytest.raises(OSError, match="No space left on device"):
            discover(config.from_json(WHOLE), folder, quiet=True)
    assert command.run(folder).returncode == 0
    assert numbers(folder) == numbers(whole)


@pytest.mark.parametrize("name", trackers.TRACKERS)
def test_a_tracker_whose_package_is_not_there_is_refused_before_anything_is_written(
    tiny, tmp_path, monkeypatch, name
):
    monkeypatch.setattr("importlib.util.find_spec", lambda package: None)
    with pytest.raises(RequestError, match=f"{name} is not installed: pip install"):
        discover(tiny, tmp_path / "run", track=[name], quiet=True)
    assert not (tmp_path / "run").exists()


def test_tensorboard_files_are_written_on_request(command, tmp_path):
    done = command.run(tmp_path / "run", "--track", "tensorboard")
    assert done.returncode == 0, done.stderr
    assert any((tmp_path / "run" / "tensorboard").iterdir())
