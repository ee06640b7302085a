"""Artifacts damaged by accident: bytes altered or cut off, files missing, files that are none."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mpo
from tests.faults.artifacts.conftest import (
    ABOUT,
    ARRAYS,
    load,
    refused,
    resealed,
    same,
    save,
)


def test_a_whole_artifact_loads(put):
    assert same(load(put()).objective)


@pytest.mark.parametrize("name", ["json", "npz"])
def test_a_file_cut_anywhere_is_refused(put, original, name):
    content = original[f"it.{name}"]
    for length in range(0, len(content) - 2, 7):
        refused(put(**{name: content[:length]}))


@given(place=st.integers(0), bit=st.integers(0, 7))
@settings(max_examples=300)
def test_a_flipped_bit_never_gives_another_objective(original, scratch, place, bit):
    for name in (ABOUT, ARRAYS):
        content = bytearray(original[name])
        content[place % len(content)] ^= 1 << bit
        for other, whole in original.items():
            (scratch / other).write_bytes(content if other == name else whole)
        try:
            found = load(scratch)
        except mpo.ArtifactError:
            continue
        assert name == ABOUT  # in the provenance, or an escape of the same text
        assert same(found.objective)


def test_every_flipped_byte_of_the_arrays_is_noticed(put, original):
    for place in range(0, len(original[ARRAYS]), 11):
        content = bytearray(original[ARRAYS])
        content[place] ^= 0x10
        refused(put(npz=bytes(content)), "checksum")


@given(data=st.binary(max_size=400))
def test_any_bytes_in_place_of_a_file_are_refused(original, scratch, data):
    for name in (ABOUT, ARRAYS):
        for other, whole in original.items():
            (scratch / other).write_bytes(data if other == name else whole)
        refused(scratch)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "damaged"),
        (b"\xff\xfe\x00", "damaged"),
        (b"[]", "damaged"),
        (b"null", "damaged"),
        (b"{}", "damaged: 'kind' is missing"),
        (b"[" * 100_000, "damaged"),
        (b'{"kind": "objective", "schema": 1' + b"0" * 5000 + b"}", "damaged"),
        (b'{"kind": "agent", "schema": 1}', "describes a 'agent', not an objective"),
        (b'{"kind": "objective", "schema": NaN}', "NaN is no JSON"),
    ],
)
def test_what_is_no_description_is_refused(put, text, words):
    assert "\n" not in refused(put(json=text), words)


def test_a_hand_edited_number_is_noticed(put, original):
    text = original[ABOUT].replace(b'"lam": 0.5', b'"lam": 0.6')
    assert text != original[ABOUT]
    refused(put(json=text), r"it\.json is damaged: .*only its provenance may be edited")


@pytest.mark.parametrize("schema", [2, 99, 10**20])
def test_a_later_schema_says_what_to_update(put, original, schema):
    changed = resealed(original, lambda about: about.update(schema=schema))
    refused(put(**changed), f"has schema {schema}, and this version reads 1: update")


@pytest.mark.parametrize("schema", [0, -1, None, "1", True, 1.5])
def test_a_schema_that_never_was_is_refused(put, original, schema):
    refused(put(**resealed(original, lambda about: about.update(schema=schema))), "schema")


def test_the_arrays_of_another_artifact_are_refused(put, tmp_path):
    save(tmp_path, 1)
    refused(put(npz=(tmp_path / ARRAYS).read_bytes()), r"it\.npz .*checksum is not the one in")


def test_a_missing_file_is_named(put):
    folder = put()
    (folder / ARRAYS).unlink()
    refused(folder, r"it\.npz is missing, or")
    (folder / ABOUT).unlink()
    with pytest.raises(mpo.RequestError, match=r"no objective at .*no .*it\.json"):
        load(folder)


@pytest.mark.parametrize("name", [ABOUT, ARRAYS])
@pytest.mark.parametrize(
    "make",
    [
        Path.mkdir,
        os.mkfifo,
        lambda path: path.symlink_to(path.name),
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to("nowhere"),
    ],
)
def test_what_is_no_file_is_refused_in_place_of_one(original, tmp_path, name, make):
    for other, content in original.items():
        (tmp_path / other).write_bytes(content)
    (tmp_path / name).unlink()
    make(tmp_path / name)
    refused(tmp_path, rf"{name} is (missing|not a file)|cannot read .*{name}: Too many")


def test_a_link_to_the_file_is_as_good_as_the_file(put, tmp_path):
    for name in (ABOUT, ARRAYS):
        (tmp_path / name).symlink_to(put() / name)
    assert same(load(tmp_path).objective)


def test_a_file_that_may_not_be_read_is_refused(put, monkeypatch):
    """Also for those who run tests as root, who may read everything."""
    real = Path.read_bytes
    for name in (ABOUT, ARRAYS):

        def read(self, name=name):
            if self.name == name:
                raise PermissionError(errno.EACCES, "Permission denied", str(self))
            return real(self)

        monkeypatch.setattr(Path, "read_bytes", read)
        refused(put(), f"cannot read .*{name}: Permission denied")
