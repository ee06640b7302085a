"""Datasets under damage: files cut or altered anywhere, disks that fill up, work interrupted."""

import errno
import json
import os
import resource
import shutil
import zipfile
from contextlib import contextmanager

import numpy as np
import pytest

from discovery.cli import main
from envs import data
from envs.data import DatasetError, archive, from_arrays, generate, load
from mpo.errors import RequestError


def small(rows=4):
    rng = np.random.default_rng(0)
    return from_arrays(
        rng.normal(size=(rows, 2, 3, 2)),
        rng.normal(size=(rows, 2, 3, 1)),
        length=rng.integers(1, 4, (rows, 2)),
        reward=rng.normal(size=(rows, 2)),
        agent=rng.integers(0, 2, (rows, 2)),
        agents=("a", "b"),
        task="reach",
    )


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "d.npz"
    small().save(path)
    return path


def rewritten(path, change):
    """Write the archive anew with `change(members)`; its CRCs are right, so zip sees nothing."""
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as new:
        for name, content in members.items():
            new.writestr(name, content)


def edit_metadata(path, change):
    def edit(members):
        about = json.loads(members["metadata.json"])
        change(about)
        members["metadata.json"] = json.dumps(about).encode()

    rewritten(path, edit)


def test_a_file_cut_anywhere_is_refused(file):
    content = file.read_bytes()
    for length in range(0, len(content), 7):
        file.write_bytes(content[:length])
        with pytest.raises(DatasetError, match=r"d.npz .*(truncated|corrupt)"):
            load(file)


@pytest.mark.sweep
def test_a_byte_altered_anywhere_is_noticed_or_harmless(file):
    expected, content = load(file), file.read_bytes()
    arrays = {name: np.array(values) for name, values in expected.arrays().items()}
    noticed = 0
    for place in range(len(content)):
        altered = bytearray(content)
        altered[place] ^= 0x11
        file.write_bytes(altered)
        try:
            found = load(file)
        except DatasetError:
            noticed += 1
            continue
        assert found.about == expected.about
        assert found.arrays().keys() == arrays.keys()
        for name, values in found.arrays().items():
            np.testing.assert_array_equal(values, arrays[name])
    assert noticed > len(content) / 3


@pytest.mark.parametrize("name", ["inputs", "outputs", "length", "reward", "agent"])
def test_an_altered_number_is_named_by_its_field(file, name):
    values = load(file).arrays()[name]
    place = values.offset + values.nbytes // 2
    altered = bytearray(file.read_bytes())
    altered[place] ^= 1
    file.write_bytes(altered)
    with pytest.raises(DatasetError, match=f"{name} has not the checksum it should have"):
        load(file)
    assert len(load(file, verify=False)) == 4


@pytest.mark.parametrize("name", ["inputs", "outputs", "length"])
def test_a_missing_array_is_named(file, name):
    rewritten(file, lambda members: members.pop(f"{name}.npy"))
    with pytest.raises(DatasetError, match=f"do not agree on {name}"):
        load(file)


def test_an_array_too_many_is_named(file):
    rewritten(file, lambda members: members.update({"more.npy": members["reward.npy"]}))
    with pytest.raises(DatasetError, match="do not agree on more"):
        load(file)


@pytest.mark.parametrize(
    "values", [np.zeros((3, 2), np.float32), np.zeros((4, 2)), np.zeros((4, 2), ">f4")]
)
def test_an_array_of_another_shape_or_dtype_is_named(file, values):
    def change(members):
        import io

        buffer = io.BytesIO()
        np.save(buffer, values)
        members["reward.npy"] = buffer.getvalue()

    rewritten(file, change)
    with pytest.raises(DatasetError, match=r"reward.npy is not the float32\[4, 2\]"):
        load(file, verify=False)


def test_arrays_that_do_not_go_together_are_refused_even_if_the_metadata_agrees(file):
    about = load(file).about.as_json()
    arrays = {n: np.array(a) for n, a in load(file).arrays().items()}
    arrays["reward"] = arrays["reward"][:3]
    with archive.writing(file, arrays, about) as writer:
        writer.append(arrays)
    with pytest.raises(DatasetError, match=r"reward has shape .* outputs has 4 rows"):
        load(file)


@pytest.mark.parametrize("schema", [0, 2, None, "1"])
def test_another_schema_is_refused(file, schema):
    edit_metadata(file, lambda about: about.update(schema=schema))
    with pytest.raises(DatasetError, match=f"schema {schema}, and this version reads 1"):
        load(file)


@pytest.mark.parametrize(
    "change",
    [
        lambda about: about.pop("arrays"),
        lambda about: about.update(arrays=[]),
        lambda about: about["arrays"].update(reward=7),
        lambda about: about.pop("recipe"),
        lambda about: about.update(recipe={"task": "x"}),
        lambda about: about.update(agents=None),
    ],
)
def test_metadata_that_lacks_something_is_refused(file, change):
    edit_metadata(file, change)
    with pytest.raises(DatasetError, match=r"d\.npz"):
        load(file)


def test_objects_are_never_loaded(file):
    """An array of Python objects would be unpickled, that is, executed."""

    def change(members):
        import io

        buffer = io.BytesIO()
        np.save(buffer, np.array([[{}, {}]] * 4), allow_pickle=True)
        members["reward.npy"] = buffer.getvalue()

    rewritten(file, change)
    with pytest.raises(DatasetError, match="corrupt"):
        load(file)


def test_compressed_members_are_refused(file):
    with zipfile.ZipFile(file) as old:
        members = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in members.items():
            new.writestr(name, content)
    with pytest.raises(DatasetError, match="is compressed"):
        load(file)


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="no such file"):
        load(tmp_path / "none.npz")
    with pytest.raises(DatasetError, match=r"cannot read .*directory"):
        load(tmp_path)


@contextmanager
def room_for(size):
    """Let no file grow beyond `size` bytes: what a full disk does, done by the kernel."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.99])
def test_a_disk_that_is_full_leaves_what_was_there(file, share):
    before, size = file.read_bytes(), file.stat().st_size
    with room_for(int(share * size)), pytest.raises(OSError, match=r"could not write .*d.npz"):
        small().save(file)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ["d.npz"]


def test_a_disk_too_small_is_noticed_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(generate, "chunks", lambda *_: pytest.fail("began"))
    with room_for(10_000), pytest.raises(OSError, match=r"could not write .*MB"):
        data.make("reach", rows=512, out=tmp_path / "d.npz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
@pytest.mark.parametrize("chunk", [0, 1])
def test_a_failure_in_the_middle_leaves_nothing(tmp_path, monkeypatch, failure, chunk):
    real, calls = archive.Writer.append, []

    def append(self, rows):
        calls.append(rows)
        if len(calls) > chunk:
            raise failure
        real(self, rows)

    monkeypatch.setattr(archive.Writer, "append", append)
    with pytest.raises(type(failure)):
        data.make("reach", rows=512, out=tmp_path / "d.npz")
    assert len(calls) == chunk + 1
    assert not list(tmp_path.iterdir())


def test_a_failure_of_what_makes_the_rows_is_not_the_disks(tmp_path, monkeypatch):
    def chunks(*_, **__):
        raise FileNotFoundError(errno.ENOENT, "No such file", "model.xml")

    monkeypatch.setattr(generate, "chunks", chunks)
    with pytest.raises(FileNotFoundError, match=r"No such file: 'model\.xml'"):
        data.make("reach", rows=512, out=tmp_path / "d.npz")
    assert not list(tmp_path.iterdir())


def test_a_failure_to_reach_the_disk_leaves_nothing(tmp_path, monkeypatch):
    def fsync(_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="Input/output error"):
        small().save(tmp_path / "d.npz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("where", ["file/deeper/d.npz", "file/d.npz", ".", "x" * 300])
def test_places_that_cannot_be_written_to_are_refused(tmp_path, where):
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match="cannot write"):
        small().save(tmp_path / where)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_is_missing_is_made(tmp_path):
    small().save(tmp_path / "new" / "folder" / "d.npz")
    assert len(data.load(tmp_path / "new" / "folder" / "d.npz")) == len(small())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(RequestError, match="Permission denied"):
        small().save(tmp_path / "d.npz")


def test_a_folder_that_refuses_is_a_wrong_request(tmp_path, monkeypatch):
    """As the one above, for those who run tests as root."""
    real = type(tmp_path).open

    def refuse(self, mode="r", *rest, **more):
        if "x" in mode:
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return real(self, mode, *rest, **more)

    monkeypatch.setattr(type(tmp_path), "open", refuse)
    with pytest.raises(RequestError, match="Permission denied; choose a place"):
        small().save(tmp_path / "d.npz")


@pytest.fixture
def discovery(capsys):
    def run(*arguments):
        status = main(["data", *map(str, arguments)])
        return status, capsys.readouterr().err

    return run


def test_exit_statuses_tell_a_wrong_place_from_a_full_disk(discovery, tmp_path):
    request = ("make", "--task", "reach", "--rows", 64, "--out")
    (tmp_path / "file").touch()
    status, said = discovery(*request, tmp_path / "file" / "d.npz")
    assert (status, said.count("\n")) == (2, 1)
    (tmp_path / "file").unlink()
    with room_for(5000):
        status, said = discovery(*request, tmp_path / "d.npz")
    assert (status, said.count("\n")) == (1, 1)
    assert "could not write" in said
    assert not list(tmp_path.iterdir())


def test_a_partial_file_of_a_killed_process_is_in_nobodys_way(file):
    shutil.copy(file, file.with_name(".d.npz.123-0badcafe.partial"))
    small().save(file)
    assert len(load(file)) == 4
