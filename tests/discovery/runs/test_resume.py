"""Killed, stopped, out of disk: started again, a run ends with the numbers of one that was not."""

import errno
import json
import signal

import pytest

from discovery import config
from discovery.runs import discover, trackers
from mpo.errors import RequestError
from tests.discovery.runs.conftest import WHOLE, at_call, generations, numbers, wait_for


class Killed(BaseException):
    """The end of a process, which nothing in it catches."""


def killed_before(function, *arguments, **settings):
    raise Killed


def killed_after(function, *arguments, **settings):
    function(*arguments, **settings)
    raise Killed


def killed(folder, path, number, how=killed_after):
    """Run the tiny discovery until it is killed at a call of a function."""
    with at_call(path, number, how), pytest.raises(Killed):
        discover(config.from_json(WHOLE), folder, quiet=True)


@pytest.mark.sweep
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


@pytest.mark.sweep
def test_killed_at_every_kind_of_point_it_ends_with_the_same_numbers(command, whole, tmp_path):
    """In a generation, between a line and its checkpoint, after the search, between two files."""
    folder = tmp_path / "run"
    killed(folder, "discovery.search.search.Search.train", 1)
    assert generations(folder) == 0
    killed(folder, "mpo.log.JsonLog.add", 1)
    assert generations(folder) == 1
    killed(folder, "discovery.runs.checkpoints.Checkpoints.save", 2)
    assert generations(folder) == 2
    killed(folder, "discovery.runs.finish.select", 1)
    assert generations(folder) == 4
    killed(folder, "mpo.save", 1)
    killed(folder, "discovery.report.write", 1, killed_before)
    assert not (folder / "report.md").exists()
    done = command.run(folder)
    assert "going on after generation 4" in done.stderr
    assert numbers(folder) == numbers(whole)


def test_a_killed_process_leaves_a_run_that_goes_on(command, whole, tmp_path):
    folder = tmp_path / "run"
    process = command.start(folder)
    wait_for(process, folder, 2)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert command.run(folder).returncode == 0
    assert numbers(folder) == numbers(whole)


@pytest.mark.sweep
def test_at_work_it_refuses_a_second_process_and_stops_when_asked(command, whole, tmp_path):
    folder = tmp_path / "run"
    process = command.start(folder)
    try:
        wait_for(process, folder, 1)
        process.send_signal(signal.SIGSTOP)
        second = command.run(folder)
    finally:
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
    _, said = process.communicate(timeout=120)
    assert second.returncode == 2
    assert f"another process ({process.pid}) is at work" in second.stderr
    assert process.returncode == 130, said
    assert "the same command goes on" in said
    assert "Traceback" not in said
    assert not (folder / "report.md").exists()
    done = command.run(folder)
    assert "going on after generation" in done.stderr
    assert numbers(folder) == numbers(whole)


def test_interrupted_it_stops_after_the_generation(command, tmp_path):
    def interrupted(append, *arguments):
        append(*arguments)
        signal.raise_signal(signal.SIGINT)

    with at_call("mpo.log.JsonLog.add", 2, interrupted):
        done = command.run(tmp_path / "run")
    assert done.returncode == 130
    assert "stopped after generation 2 of 4; the same command goes on" in done.stderr


# A read that fails leaves orbax's other reads behind in an event loop that is closed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.sweep
def test_a_damaged_checkpoint_costs_a_generation_and_no_number(command, whole, tmp_path):
    folder = tmp_path / "run"
    killed(folder, "discovery.runs.checkpoints.Checkpoints.save", 3)
    newest = max((p for p in (folder / "checkpoints").iterdir() if p.name.isdigit()),
                 key=lambda p: int(p.name))  # fmt: skip
    for file in newest.rglob("d/*"):
        file.write_bytes(b"")
    done = command.run(folder)
    assert done.returncode == 0, done.stderr
    assert "is damaged" in done.stderr
    assert numbers(folder) == numbers(whole)


@pytest.mark.slow
def test_two_devices_continue_what_one_began(command, whole, tmp_path):
    folder = tmp_path / "run"
    killed(folder, "discovery.runs.checkpoints.Checkpoints.save", 2)
    process = command.start(folder, devices=2)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert numbers(folder) == numbers(whole)


def test_other_settings_are_refused_with_the_difference(command, whole):
    done = command.run(whole, "--set", "search.sigma=0.25")
    assert done.returncode == 2
    assert "search.sigma: 0.25, was 0.4" in done.stderr


def test_a_wrong_request_writes_nothing(command, tmp_path):
    done = command.run(tmp_path / "run", "--set", "search.sigm=0.25")
    assert done.returncode == 2
    assert "'sigma'" in done.stderr
    assert not (tmp_path / "run").exists()


def no_space(function, *arguments):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("full", ["mpo.log.JsonLog.add", "mpo.treefile.replace"])
@pytest.mark.slow
def test_a_full_disk_is_said_and_loses_nothing(command, tmp_path, whole, full):
    """A line of the log cannot be written, or a file of the result."""
    folder = tmp_path / "run"
    failing = pytest.raises(OSError, match="No space left on device")
    with at_call(full, 3, no_space), failing:
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


@pytest.mark.sweep
def test_tensorboard_files_are_written_on_request(command, tmp_path):
    arguments = ["--track", "tensorboard", "--set", "search.generations=1"]
    done = command.run(tmp_path / "run", *arguments)
    assert done.returncode == 0, done.stderr
    assert any((tmp_path / "run" / "tensorboard").iterdir())
