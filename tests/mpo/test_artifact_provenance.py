"""Provenance is plain JSON, comes back as it was, and may be edited."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mpo
from mpo.potentials import Role

TEXT = st.text(max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
TABLE = st.dictionaries(TEXT, JSON, max_size=3)
OPTIONAL = {
    "task": TEXT,
    "data": st.lists(TABLE, max_size=2),
    "config": TABLE,
    "seed": st.integers(),
    "generations": st.integers(0, 9),
    "fitness_history": st.lists(st.floats() | TABLE, max_size=3),
    "fitness": st.floats() | st.integers(),
    "results": TABLE,
    "commit": TEXT,
    "created": TEXT,
    "command": TEXT,
    "extra": st.dictionaries(TEXT.map("own {}".format), JSON, max_size=2),
}


@given(entries=st.fixed_dictionaries({"versions": TABLE}, optional=OPTIONAL))
def test_whatever_it_holds_comes_back_from_strict_json(entries):
    about = mpo.Provenance(**entries)
    text = json.dumps(about.as_json(), allow_nan=False)
    assert mpo.Provenance.from_json(json.loads(text)) == about


def test_it_comes_back_from_a_file(tmp_path):
    about = mpo.Provenance(
        versions={"jax": "0.10.2"},
        task="hopper",
        data=[{"kind": "noisy", "flip": 0.1}],
        config={"search": {"sigma": 0.4}},
        seed=3,
        generations=2,
        fitness_history=[{"mean": 1.0, "best": 2.0}, {"mean": None, "best": None}],
        fitness=1234.5,
        results={"orpo": [1.0, None]},
        commit="abc",
        created="2025-01-01T00:00:00Z",
        command="discovery run",
    )
    mpo.save(mpo.objective("sft"), tmp_path / "it", about)
    assert mpo.load(tmp_path / "it").provenance == about


def test_what_is_no_json_becomes_json():
    about = mpo.Provenance(
        versions={"jax": "1"},
        results={"seed": np.int64(3), "fitness": jnp.float32(0.5)},
        fitness_history=(np.nan, np.float32(1.0), np.inf, {"mean": -np.inf}),
        config={
            "shape": (1, 2),
            "scores": np.array([[1.0, np.nan]]),
            "role": Role.PSI,
            "by": {3: 4},
        },
    )
    assert about.results == {"seed": 3, "fitness": 0.5}
    assert about.fitness_history == [None, 1.0, None, {"mean": None}]
    assert about.config == {"shape": [1, 2], "scores": [[1.0, None]], "role": "psi", "by": {"3": 4}}
    assert type(about.config["role"]) is str


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({"config": {"path": object()}}, "cannot hold <object"),
        ({"results": {"odd": [{1, 2}]}}, r"cannot hold \{1, 2\}: it is no JSON"),
        ({"extra": {"task": "hopper"}}, "'extra' of provenance has 'task', an entry of its own"),
    ],
)
def test_what_cannot_be_json_is_refused(entries, says):
    with pytest.raises(mpo.RequestError, match=says):
        mpo.Provenance(versions={}, **entries)


def edited(stem, change):
    path = stem.with_name(stem.name + ".json")
    about = json.loads(path.read_text())
    change(about["provenance"])
    path.write_text(json.dumps(about, indent=4))


def test_it_may_be_edited_and_added_to(tmp_path):
    stem = tmp_path / "it"
    mpo.save(mpo.objective("orpo", lam=0.5), stem, mpo.Provenance(versions={}, task="hopper"))
    edited(stem, lambda about: about.update(notes="tried on Ant too", task="ant", seed=None))
    found = mpo.load(stem)
    assert found.objective.lam == 0.5
    assert found.provenance.task == "ant"
    assert found.provenance.extra == {"notes": "tried on Ant too"}

    mpo.save(found.objective, tmp_path / "again", found.provenance)
    assert mpo.load(tmp_path / "again").provenance == found.provenance


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda about: about.pop("versions"), "provenance needs the setting 'versions'"),
        (
            lambda about: about.update(seed="three"),
            "'seed' of provenance must be a whole number, not 'three'",
        ),
        (
            lambda about: about.update(seed=True),
            "'seed' of provenance must be a whole number, not True",
        ),
        (
            lambda about: about.update(config=[]),
            r"'config' of provenance must be a table, not \[\]",
        ),
        (
            lambda about: about.update(fitness_history=None),
            "'fitness_history' of provenance must be a list",
        ),
        (lambda about: about.update(task=1), "'task' of provenance must be text, not 1"),
        (
            lambda about: about.update(fitness="good"),
            "'fitness' of provenance must be a number, not 'good'",
        ),
    ],
)
def test_an_edit_that_spoils_it_is_refused(tmp_path, change, says):
    stem = tmp_path / "it"
    mpo.save(mpo.objective("sft"), stem)
    edited(stem, change)
    with pytest.raises(mpo.ArtifactError, match=rf"it\.json is damaged: .*{says}"):
        mpo.load(stem)
