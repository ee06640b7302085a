"""Saves that are cut off, and readers beside a writer."""

import errno
import resource
import shutil
import threading
from pathlib import Path

import pytest

import mpo
from mpo import treefile
from mpo.artifact import files
from tests.faults.artifacts.conftest import ABOUT, ARRAYS, WAITING, load, objective, same, save


def test_a_save_that_is_killed_anywhere_leaves_one_of_both(tmp_path, monkeypatch):
    """The folder as it is before and after every step that changes it."""
    work, moments = tmp_path / "work", list[Path]()

    def photographed(step):
        def wrapped(self, *rest, **more):
            for when in (lambda: None, lambda: step(self, *rest, **more)):
                when()
                moments.append(tmp_path / f"moment-{len(moments)}")
                shutil.copytree(work, moments[-1])

        return wrapped

    save(work, 1)
    for step in ("replace", "unlink"):
        monkeypatch.setattr(Path, step, photographed(getattr(Path, step)))
    save(work, 2)
    monkeypatch.undo()
    assert len(moments) >= 8
    found = [load(moment) for moment in moments]
    seen = [artifact.provenance.seed for artifact in found]
    assert seen == sorted(seen)  # the old one up to some moment, the new one from there on
    assert set(seen) == {1, 2}
    assert all(same(a.objective, a.provenance.seed) for a in found)
    assert any((moment / WAITING).exists() for moment in moments)
    for moment, before in zip(moments, seen, strict=True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(treefile, "replace", full_disk)
            with pytest.raises(OSError, match="No space left"):
                save(moment, 3)
        assert same(load(moment).objective, before)
        save(moment, 3)
        assert same(load(moment).objective, 3)
        names = {path.name for path in moment.iterdir()}
        assert {ABOUT, ARRAYS} <= names <= {ABOUT, ARRAYS, f"{ABOUT}.partial"}


def full_disk(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_failure_in_a_save_leaves_one_of_both_and_nothing_else(
    tmp_path, monkeypatch, failure, step
):
    save(tmp_path, 1)
    real, calls = Path.replace, []

    def replace(self, target):
        calls.append(target)
        if len(calls) == step + 1:
            raise failure
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(type(failure)):
        save(tmp_path, 2)
    monkeypatch.undo()
    kept = load(tmp_path)
    assert kept.provenance.seed == (2 if step == 2 else 1)
    assert same(kept.objective, kept.provenance.seed)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {ABOUT, ARRAYS} | ({WAITING} if step == 2 else set())


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.99])
@pytest.mark.parametrize("name", [ABOUT, ARRAYS])
def test_a_full_disk_is_an_error_of_the_disk_and_loses_nothing(tmp_path, name, share):
    save(tmp_path, 1)
    size = int(share * (tmp_path / name).stat().st_size)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        with pytest.raises(OSError, match=r"could not write .*it\.json"):
            save(tmp_path, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert same(load(tmp_path).objective, 1)
    assert {path.name for path in tmp_path.iterdir()} == {ABOUT, ARRAYS}


@pytest.mark.parametrize("where", ["file/it", "file/deeper/it", "x" * 300])
def test_places_that_cannot_be_written_to_are_wrong_requests(tmp_path, where):
    (tmp_path / "file").touch()
    with pytest.raises(mpo.RequestError, match=r"cannot write .*; choose a place"):
        mpo.save(objective(), tmp_path / where)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_damaged_artifact_can_be_saved_over(tmp_path):
    save(tmp_path, 1)
    (tmp_path / ABOUT).write_bytes(b"{")
    (tmp_path / WAITING).write_bytes(b"left by a save that was killed")
    save(tmp_path, 2)
    assert same(load(tmp_path).objective, 2)
    assert {path.name for path in tmp_path.iterdir()} == {ABOUT, ARRAYS}


@pytest.mark.sweep
def test_a_reader_beside_a_writer_sees_whole_artifacts(tmp_path):
    save(tmp_path, 0)
    done = threading.Event()

    def write():
        for number in range(1, 40):
            save(tmp_path, number)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = []
    while not done.is_set():
        found = load(tmp_path)
        assert same(found.objective, found.provenance.seed)
        seen.append(found.provenance.seed)
    writer.join()
    assert seen == sorted(seen)
    assert len(set(seen)) > 3


def once(monkeypatch, name, first):
    """Let `first` happen during the first call of a function that `load` uses."""
    real, calls = getattr(files, name), []

    def wrapped(*arguments):
        result = real(*arguments)
        calls.append(arguments)
        if len(calls) == 1:
            first()
        return result

    monkeypatch.setattr(files, name, wrapped)


def test_a_save_between_the_two_reads_is_read_anew(tmp_path, monkeypatch):
    save(tmp_path, 1)
    save(tmp_path / "next", 2)
    newer = tmp_path / "next"

    def overtake():
        for name in (ABOUT, ARRAYS):
            (newer / name).replace(tmp_path / name)

    once(monkeypatch, "decode_head", overtake)
    assert same(load(tmp_path).objective, 2)


def test_arrays_that_get_their_name_between_two_looks_are_found(tmp_path, monkeypatch):
    save(tmp_path, 2)
    (tmp_path / ARRAYS).replace(tmp_path / WAITING)
    (tmp_path / ARRAYS).write_bytes(b"of the artifact before")
    once(monkeypatch, "checksum", lambda: (tmp_path / WAITING).replace(tmp_path / ARRAYS))
    assert same(load(tmp_path).objective, 2)
