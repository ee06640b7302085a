"""Artifacts altered on purpose, with right checksums: no code runs, no memory fills."""

import copy
import json
import tracemalloc
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mpo
from tests.faults.artifacts.conftest import (
    ABOUT,
    ARRAYS,
    arrays_of,
    load,
    npy,
    npz,
    refused,
    resealed,
    sealed,
)


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
@pytest.mark.sweep
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
