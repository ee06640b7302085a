import subprocess
import sys
import textwrap

import numpy as np
import pytest

from envs.data import cache_folder, cached, load
from mpo.errors import RequestError

WORKER = """
    import sys, time
    from pathlib import Path
    from envs.data import cached, load

    source, folder = map(Path, sys.argv[1:])
    made = load(source)

    def make(path):
        with (folder / "made").open("a") as log:
            log.write("x")
        time.sleep(1.0)
        made.save(path)

    (folder / f"ready-{time.time_ns()}").touch()
    deadline = time.monotonic() + 60
    while len(list(folder.glob("ready-*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    print(cached(made.about.recipe, make, folder).reward[0, 0].item())
"""


def test_a_dataset_is_made_once_and_then_taken(planned, tmp_path):
    plan, calls = planned("shuffled"), []

    def make(path):
        calls.append(path)
        plan.write(path)

    first = cached(plan.recipe, make, tmp_path)
    second = cached(plan.recipe, make, tmp_path)
    assert len(calls) == 1
    np.testing.assert_array_equal(first.outputs, second.outputs)
    cached(
        planned("shuffled", seed=1).recipe, lambda p: planned("shuffled", seed=1).write(p), tmp_path
    )
    assert len(list(tmp_path.glob("*.npz"))) == 2


def test_a_damaged_file_is_made_anew(planned, tmp_path):
    plan = planned()
    expected = np.array(cached(plan.recipe, plan.write, tmp_path).outputs)
    (path,) = tmp_path.glob("*.npz")
    path.write_bytes(path.read_bytes()[:-100])
    np.testing.assert_array_equal(cached(plan.recipe, plan.write, tmp_path).outputs, expected)
    load(path)


def test_a_file_of_another_recipe_under_the_name_is_not_taken(planned, tmp_path):
    plan, other = planned(), planned(seed=1)
    cached(plan.recipe, plan.write, tmp_path)
    (path,) = tmp_path.glob("*.npz")
    other.write(path)
    assert cached(plan.recipe, plan.write, tmp_path).about.recipe == plan.recipe


def test_a_failure_leaves_nothing_and_holds_up_nobody(planned, tmp_path):
    plan = planned()

    def fail(path):
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        cached(plan.recipe, fail, tmp_path)
    assert not list(tmp_path.glob("*.npz"))
    assert len(cached(plan.recipe, plan.write, tmp_path)) == 40


@pytest.mark.sweep
def test_two_processes_make_it_once(planned, tmp_path):
    source, folder = tmp_path / "source.npz", tmp_path / "cache"
    folder.mkdir()
    planned().write(source)
    command = [sys.executable, "-c", textwrap.dedent(WORKER), str(source), str(folder)]
    workers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [worker.communicate(timeout=120) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], outputs
    assert (folder / "made").read_text() == "x"
    assert outputs[0][0] == outputs[1][0] == f"{load(source).reward[0, 0].item()}\n"
    assert len(list(folder.glob("*.npz"))) == 1
    assert not list(folder.glob(".*.partial"))


def test_the_folder_is_the_users_unless_another_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("DISCOVERY_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "preference-discovery" / "datasets"
    monkeypatch.setenv("DISCOVERY_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own" / "datasets"


@pytest.mark.parametrize("folder", ["file", "file/cache", "x" * 300])
def test_a_cache_that_cannot_be_is_refused(folder, planned, tmp_path):
    (tmp_path / "file").touch()
    plan = planned()
    with pytest.raises(RequestError, match=r"cannot write to .*DISCOVERY_CACHE"):
        cached(plan.recipe, plan.write, tmp_path / folder)


def test_what_a_killed_process_left_unfinished_is_deleted(planned, tmp_path):
    plan = planned()
    cached(plan.recipe, plan.write, tmp_path)
    (path,) = tmp_path.glob("*.npz")
    path.unlink()
    left = [tmp_path / f".{path.name}.{n}-0badcafe.partial" for n in (123, 456)]
    of_another = tmp_path / ".other.npz.123-0badcafe.partial"
    for partial in (*left, of_another):
        partial.write_bytes(bytes(100))
    cached(plan.recipe, plan.write, tmp_path)
    assert list(tmp_path.glob(".*.partial")) == [of_another]
