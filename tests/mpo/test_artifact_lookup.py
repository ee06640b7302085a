"""Names and places: what `mpo.objective`, `mpo.load` and `mpo.save` take a string for."""

import json
from pathlib import Path

import pytest

import mpo
from mpo.artifact import places
from tests.refusals import Meant, refusal


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def saved(stem, **settings):
    mpo.save(mpo.objective("closed_form", **settings), stem)


def alpha(name, **settings):
    return mpo.objective(name, **settings).alpha


@pytest.mark.parametrize(
    "place",
    ["runs/quick", "runs/quick/", "runs/quick/objective", "runs/quick/objective.json",
     "./runs/quick/objective.npz", Path("runs/quick")],
)  # fmt: skip
def test_a_run_folder_a_stem_and_a_file_are_places(here, place):
    saved("runs/quick/objective", alpha=0.25)
    assert alpha(place) == 0.25
    assert mpo.load(place).objective.alpha == 0.25


@pytest.mark.parametrize("place", ["mine", "mine.json", "./mine", "mine.v2", "mine.v2.json"])
def test_a_file_in_the_working_directory_is_a_place(here, place):
    saved("mine", alpha=0.5)
    saved("mine.v2.json", alpha=0.5)
    assert alpha(place) == 0.5


def test_a_folder_in_the_working_directory_is_a_place(here):
    saved("quick/objective", alpha=0.5)
    assert alpha("quick") == 0.5


def test_a_folder_with_a_run_comes_before_a_file_of_its_name(here):
    saved("quick/objective", alpha=0.5)
    saved("quick.json", alpha=0.75)
    assert alpha("quick") == 0.5
    assert alpha("quick.json") == 0.75


def test_a_registered_name_comes_before_a_place(here):
    saved("closed_form", alpha=0.5)
    saved("orpo/objective", alpha=0.25)
    assert alpha("closed_form") == 1.0
    assert alpha("./closed_form") == 0.5
    assert mpo.objective("orpo").name == "orpo"
    assert alpha(Path("orpo")) == 0.25


def test_settings_given_with_a_place_replace_those_saved(here):
    saved("mine", alpha=0.5, beta=3.0)
    changed = mpo.objective("mine", alpha=2.0)
    assert (changed.alpha, changed.beta) == (2.0, 3.0)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"alfa": 1.0}, Meant("alpha")),
        ({"alpha": -1.0}, "setting 'alpha' of objective 'mine' must be ≥ 0"),
        ({"length_normalise": 3}, "must be true or false"),
    ],
)
def test_settings_given_with_a_place_are_checked(here, settings, says):
    saved("mine")
    with refusal(says):
        mpo.objective("mine", **settings)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("orpoo", Meant("orpo")),
        ("", "unknown objective ''"),
        ("a\0b", "unknown objective"),
        ("x" * 5000, "unknown objective"),
        ("found/nothing", "unknown objective 'found/nothing'"),
        ("runs/none", r"no objective at runs/none: .* no runs/none\.json"),
        ("runs/none.json", r"no objective at runs/none\.json: .* no runs/none\.json"),
        (Path("none"), "no objective at none"),
        ("a\0/b", "no objective at"),
        ("x/" * 5000, "no objective at"),
        ("empty", r"empty holds no objective\.json: a run writes it when it ends"),
        ("/", r"/ holds no objective\.json"),
        (".", r"\. holds no objective\.json"),
        ("..", r"\.\. holds no objective\.json"),
    ],
)
def test_what_is_neither_says_so_in_one_line(here, name, says):
    (here / "empty").mkdir()
    with refusal(says) as refused:
        mpo.objective(name)
    assert "\n" not in str(refused.value)
    assert not isinstance(refused.value, mpo.ArtifactError)


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A package with two artifacts in place of what this one has."""
    folder = tmp_path / "package"
    for alpha, name in ((0.5, "bandit-noisy"), (0.25, "hopper-shuffled")):
        found = mpo.objective("closed_form", alpha=alpha)
        mpo.save(found, folder / name, mpo.Provenance(versions={}, task=name.split("-")[0]))
    monkeypatch.setattr(places, "_folder", lambda: folder)


def test_shipped_artifacts_have_names(shipped, here):
    assert alpha("found/hopper-shuffled") == 0.25
    assert mpo.load("found/bandit-noisy").provenance.task == "bandit"
    assert {name: about.task for name, about in mpo.shipped().items()} == {
        "found/bandit-noisy": "bandit",
        "found/hopper-shuffled": "hopper",
    }


def test_a_shipped_name_that_is_misspelt_is_corrected(shipped, here):
    for name in ("found/hopper-shufled", "hopper-shuffled"):
        with refusal(Meant("found/hopper-shuffled")):
            mpo.objective(name)
    with pytest.raises(mpo.RequestError, match="unknown objective"):
        mpo.objective("found/../package/hopper-shuffled")


def test_a_folder_called_found_is_still_reached(shipped, here):
    saved("found/hopper-shuffled", alpha=0.75)
    saved("found/mine", alpha=0.75)
    assert alpha("found/hopper-shuffled") == 0.25
    assert alpha("./found/hopper-shuffled") == 0.75
    assert alpha("found/mine") == 0.75


def test_everything_that_ships_loads():
    for name, about in mpo.shipped().items():
        assert mpo.load(name).provenance == about
        assert about.task
        assert about.versions["jax"]
        assert about.results, f"{name} does not say what it is worth"


@pytest.mark.parametrize("path", ["folder", "folder/", ".", ""])
def test_a_folder_is_no_name_to_save_under(here, path):
    (here / "folder").mkdir()
    with pytest.raises(mpo.RequestError, match="it is a folder; give a name in it"):
        saved(path)
    assert [file.name for file in here.iterdir()] == ["folder"]
    assert not list((here / "folder").iterdir())


def test_the_json_file_is_readable_and_strict(here):
    about = mpo.Provenance(versions={"jax": "1"}, fitness=float("nan"), fitness_history=[1.0])
    mpo.save(mpo.objective("orpo", lam=0.5), "mine", about)
    said = json.loads(Path("mine.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert said["objective"] == {
        "name": "orpo",
        "settings": {"length_normalise": True, "lam": 0.5},
    }
    assert said["schema"] == 1
    assert said["provenance"]["fitness"] is None
