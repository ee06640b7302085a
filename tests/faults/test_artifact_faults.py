"""Artifacts under damage: bytes altered by accident or on purpose, saves cut off, odd files."""

import copy
import errno
import hashlib
import io
import json
import os
import resource
import shutil
import threading
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mpo
from mpo import treefile
from mpo.artifact import files

ABOUT, ARRAYS, WAITING = "it.json", "it.npz", "it.npz.next"


def objective(number=0):
    """Return an objective that `number` tells from others, with every kind of setting in it."""
    zeta, unravel = mpo.ravel(
        mpo.objective(
            "mpo",
            psi=mpo.potential("network", role="psi", units=9, temporal=True),
            phi_inv=mpo.potential("basis", role="phi_inv", library=("log", "logit", "sigmoid")),
            lam=0.5,
        )
    )
    return unravel(zeta + jnp.asarray(number, zeta.dtype))


def save(folder, number=0):
    about = mpo.Provenance(versions={"jax": "1"}, seed=number, task="bandit", config={"a": [1.5]})
    mpo.save(objective(number), folder / "it", about)


def load(folder):
    return mpo.load(folder / "it")


def same(found, number=0):
    expected = objective(number)
    structures: list[Any] = [jax.tree.structure(found), jax.tree.structure(expected)]
    leaves = jax.tree.leaves(found), jax.tree.leaves(expected)
    return structures[0] == structures[1] and all(map(np.array_equal, *leaves))


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("original")
    save(folder)
    return {name: (folder / name).read_bytes() for name in (ABOUT, ARRAYS)}


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture
def put(original, scratch):
    """Return a function that writes an artifact with some files changed."""

    def put(**changed):
        files = original | {f"it.{ending}": content for ending, content in changed.items()}
        for name, content in files.items():
            (scratch / name).write_bytes(content)
        return scratch

    return put


def refused(folder, words=None):
    with pytest.raises(mpo.ArtifactError, match=words) as error:
        load(folder)
    assert str(folder / "it") in str(error.value)
    return str(error.value)


def sealed(about):
    """Return the JSON file with its checksum made right again, as the format defines it."""
    guarded = {name: about.get(name) for name in ("kind", "schema", "objective", "arrays")}
    text = json.dumps(guarded, sort_keys=True, separators=(",", ":"))
    return json.dumps(about | {"sha256": hashlib.sha256(text.encode()).hexdigest()}).encode()


def resealed(original, change=lambda about: None, content=None):
    """Return both files after a change that whoever made it has covered up."""
    about, content = json.loads(original[ABOUT]), content or original[ARRAYS]
    about["arrays"]["sha256"] = hashlib.sha256(content).hexdigest()
    change(about)
    return {"json": sealed(about), "npz": content}


def npz(compression=zipfile.ZIP_STORED, **members):
    """Return an npz file with these members, each an array or the bytes themselves."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, member in members.items():
            archive.writestr(f"{name}.npy", member if isinstance(member, bytes) else npy(member))
    return buffer.getvalue()


def npy(array, **how):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, **how)
    return buffer.getvalue()


def arrays_of(original):
    with np.load(io.BytesIO(original[ARRAYS])) as file:
        return {name: file[name] for name in file.files}


# ---------------------------------------------------------------- accidents


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


# ---------------------------------------------------------------- odd files


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


# ---------------------------------------------------------------- on purpose, with right checksums


class Bomb:
    """What a pickle in an array of objects would run."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_pickled_objects_are_never_loaded(put, original, tmp_path):
    arrays = arrays_of(original)
    bomb = np.array([Bomb(tmp_path / "executed")] * 3, object)
    for change in (
        lambda about: None,
        lambda about: about["arrays"]["layout"].update({"phi_inv.weight": spec("object", [3])}),
        lambda about: about["arrays"]["layout"].update({"phi_inv.weight": spec("float64", [3])}),
    ):
        content = npz(**arrays | {"phi_inv.weight": npy(bomb, allow_pickle=True)})
        refused(put(**resealed(original, change, content)))
    assert not list(tmp_path.iterdir())


def spec(dtype, shape):
    return {"dtype": dtype, "shape": shape}


LARGE = 2**23  # of doubles: 64 MiB, which compress to 64 kB


@pytest.mark.parametrize("claimed", [[3], [LARGE]])
def test_a_small_file_cannot_fill_the_memory(put, original, claimed):
    arrays = arrays_of(original) | {"phi_inv.weight": np.zeros(LARGE)}
    content = npz(zipfile.ZIP_DEFLATED, **arrays)
    assert len(content) < 100_000
    layout = {"phi_inv.weight": spec("float64", claimed)}
    folder = put(**resealed(original, lambda a: a["arrays"]["layout"].update(layout), content))
    tracemalloc.start()
    refused(folder, "expected float64" if claimed == [3] else "smaller than its arrays")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000


@pytest.mark.parametrize(
    "shape",
    [[10**30], [0, 2**31], [2**62, 4], [-1], [1.5], ["3"], None, "3", {}, [[3]], [True], [1] * 65],
)
def test_shapes_that_cannot_be_are_refused(put, original, shape):
    layout = {"phi_inv.weight": spec("float32", shape)}
    refused(put(**resealed(original, lambda about: about["arrays"]["layout"].update(layout))))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(put, original, value):
    arrays = arrays_of(original)
    arrays["psi.bias"][2, 0] = value
    refused(put(**resealed(original, content=npz(**arrays))), r"psi\.bias has numbers .*not finite")


def test_doubles_too_large_for_floats_are_refused(put, original):
    arrays = arrays_of(original) | {"phi_inv.weight": np.full(3, 1e300)}
    layout = {"phi_inv.weight": spec("float64", [3])}
    changed = resealed(original, lambda a: a["arrays"]["layout"].update(layout), npz(**arrays))
    refused(put(**changed), r"phi_inv\.weight has numbers .*not in float32")
    with jax.enable_x64(True):
        assert load(put(**changed)).objective.phi_inv.weight[0] == 1e300


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "psi.slope.", "__class__", "psi.extra"])
def test_arrays_of_odd_names_are_refused(put, original, tmp_path, name):
    content = npz(**arrays_of(original) | {name: np.zeros(3, np.float32)})
    refused(put(**resealed(original, content=content)), "see ")
    layout = {name: spec("float32", [3])}
    refused(put(**resealed(original, lambda a: a["arrays"]["layout"].update(layout), content)))
    assert not list(tmp_path.iterdir())


def test_an_npz_file_of_another_making_is_refused(put, original):
    arrays = arrays_of(original)
    for odd in (
        b"",
        b"no array",
        npy(arrays["psi.bias"], version=(2, 0)),
        npy(arrays["psi.bias"])[:-1],
        npy(arrays["psi.bias"]) + b"x",
        npy(arrays["psi.bias"]).replace(b"fortran_order", b"fortran_odder"),
        npy(arrays["psi.bias"]).replace(b"{'descr'", b"(((((((("),
        npy(arrays["psi.bias"]).replace(b"<f4", b">f4"),
        npy(arrays["psi.bias"].astype(np.int32)),
        npy(arrays["psi.bias"].T),
    ):
        content = npz(**arrays | {"psi.bias": odd})
        refused(put(**resealed(original, content=content)))


SETTINGS = {
    "of another objective": lambda o: o.update(name="dpo"),
    "of an unknown objective": lambda o: o.update(name="mpoo"),
    "named by a class": lambda o: o.update(name="mpo.objectives.MPO"),
    "of no name": lambda o: o.pop("name"),
    "of an odd name": lambda o: o.update(name=["mpo"]),
    "of no settings": lambda o: o.pop("settings"),
    "of odd settings": lambda o: o.update(settings=[1]),
    "a setting too many": lambda o: o["settings"].update(colour="red"),
    "a switch that is a number": lambda o: o["settings"].update(length_normalise=1),
    "λ out of range": lambda o: o["settings"].update(lam=-1.0),
    "λ beyond numbers": lambda o: o["settings"].update(lam=10**400),
    "λ in a list": lambda o: o["settings"].update(lam=[1.0]),
    "λ in a list of lists": lambda o: o["settings"].update(lam=[[1.0], [1.0, 2.0]]),
    "λ in a table": lambda o: o["settings"].update(lam={"name": "log", "settings": {}}),
    "λ of no value": lambda o: o["settings"].update(lam=None),
    "ψ missing": lambda o: o["settings"].pop("psi"),
    "ψ of no potential": lambda o: o["settings"].update(psi=3.0),
    "ψ of an objective": lambda o: o["settings"].update(psi=dict(o, settings={})),
    "ψ within ψ": lambda o: o["settings"]["psi"]["settings"].update(
        psi=copy.deepcopy(o["settings"]["psi"])
    ),
    "ψ of another kind": lambda o: o["settings"]["psi"].update(name="basis"),
    "an unknown role": lambda o: o["settings"]["psi"]["settings"].update(role="chi"),
    "an odd role": lambda o: o["settings"]["psi"]["settings"].update(role={}),
    "no role": lambda o: o["settings"]["psi"]["settings"].pop("role"),
    "an unknown positivity": lambda o: o["settings"]["psi"]["settings"].update(positive="abs"),
    "an odd positivity": lambda o: o["settings"]["psi"]["settings"].update(positive=["exp"]),
    "a slope of its own": lambda o: o["settings"]["psi"]["settings"].update(slope=1.0),
    "no slope at the end": lambda o: o["settings"]["psi"]["settings"].update(slope_end=None),
    "an unknown function": lambda o: o["settings"]["phi_inv"]["settings"].update(
        library=["log", "logit", "sine"]
    ),
    "a function too many": lambda o: o["settings"]["phi_inv"]["settings"].update(
        library=["log", "logit", "sigmoid", "x"]
    ),
    "an odd library": lambda o: o["settings"]["phi_inv"]["settings"].update(library=7),
    "a library of numbers": lambda o: o["settings"]["phi_inv"]["settings"].update(
        library=[1, [2], {}]
    ),
}


@pytest.mark.parametrize("fault", SETTINGS)
def test_settings_that_fit_nothing_are_refused(put, original, fault):
    changed = resealed(original, lambda about: SETTINGS[fault](about["objective"]))
    said = refused(put(**changed))
    assert "\n" not in said or "Type-check" in said  # by the checks that only tests have


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def places(node, at=()):
    """Return the path to every node of a JSON tree."""
    children = node.items() if isinstance(node, dict) else enumerate(node)
    return [
        place
        for key, child in children
        for place in ([(*at, key)] if not isinstance(child, dict | list) else
                      [(*at, key), *places(child, (*at, key))])
    ]  # fmt: skip


@given(data=st.data())
@settings(max_examples=300)
def test_any_change_of_the_description_is_refused_or_makes_an_objective(original, scratch, data):
    """Whoever covers up the change may describe another objective, and nothing else."""
    about = json.loads(original[ABOUT])
    *path, last = data.draw(st.sampled_from(places(about)))
    node = about
    for key in path:
        node = node[key]
    if data.draw(st.booleans()):
        del node[last]
    else:
        node[last] = data.draw(VALUES | st.sampled_from(["mpo", "log", "basis", "psi", 0, -1]))
    (scratch / ABOUT).write_bytes(sealed(about))
    (scratch / ARRAYS).write_bytes(original[ARRAYS])
    try:
        found = load(scratch)
    except mpo.ArtifactError:
        return
    mpo.save(found.objective, scratch / "again", found.provenance)
    assert mpo.load(scratch / "again").provenance == found.provenance


# ---------------------------------------------------------------- saves that are cut off


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
