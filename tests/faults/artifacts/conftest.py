"""An artifact with every kind of setting in it, and ways to damage it."""

import hashlib
import io
import json
import zipfile
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mpo

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
