import json
import zipfile

import numpy as np
import pytest

from envs.data import About, Dataset, Recipe, archive, load
from mpo.errors import RequestError


@pytest.fixture
def file(planned, tmp_path):
    path = tmp_path / "d.npz"
    planned("noisy").write(path)
    return path


def test_what_is_written_is_read(file, planned):
    from envs.data import generate

    plan = planned("noisy")
    (made,) = generate.chunks(plan.task, plan.recipe, plan.agents)
    dataset = load(file, task="ledge")
    assert dataset.arrays().keys() == made.keys()
    for name, values in dataset.arrays().items():
        np.testing.assert_array_equal(values, made[name])
    assert dataset.about.recipe == plan.recipe
    assert dataset.about.agents == ("good", "poor")
    assert dataset.about.versions["jax"]


def test_the_same_recipe_gives_the_same_file(file, planned, tmp_path):
    planned("noisy").write(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == file.read_bytes()


def test_arrays_are_mapped_where_they_lie_aligned_and_read_only(file):
    for name, values in load(file).arrays().items():
        assert isinstance(values, np.memmap), name
        assert values.filename == str(file.resolve())
        assert values.ctypes.data % 64 == 0
        assert not values.flags.writeable


def test_slices_of_rows_are_not_copied(file):
    dataset = load(file)
    part = dataset[5:9]
    assert len(part) == 4
    assert part.about == dataset.about
    for name, values in part.arrays().items():
        assert np.shares_memory(values, dataset.arrays()[name]), name


def test_other_tools_read_it(file):
    dataset = load(file)
    with np.load(file, allow_pickle=False) as arrays:
        for name, values in dataset.arrays().items():
            np.testing.assert_array_equal(arrays[name], values)
    with zipfile.ZipFile(file) as archived:
        assert archived.testzip() is None
        about = json.loads(archived.read("metadata.json"))
    assert about["recipe"]["sha256"] == dataset.about.recipe.digest
    assert about["arrays"]["reward"]["shape"] == [40, 2]


def test_a_saved_copy_is_the_same_file(file, tmp_path):
    load(file).save(tmp_path / "copy.npz")
    copy, original = load(tmp_path / "copy.npz"), load(file)
    assert copy.about == original.about
    for name, values in original.arrays().items():
        np.testing.assert_array_equal(copy.arrays()[name], values)


def test_starts_come_back_in_the_structure_of_the_task(file, ledge):
    np.testing.assert_array_equal(load(file).starts(ledge), load(file).inputs[:, 0, 0])


def test_a_dataset_of_another_task_is_refused(file):
    with pytest.raises(RequestError, match="of task 'ledge', not 'hopper'"):
        load(file, task="hopper")


def test_recipes_survive_json_and_their_hash_sees_every_setting(planned):
    recipe = planned().recipe
    again = Recipe.from_json(json.loads(json.dumps(recipe.as_json())))
    assert again == recipe
    assert again.digest == recipe.digest
    others = [
        planned("shuffled"),
        planned(rows=41),
        planned(responses=3),
        planned(seed=1),
        planned(judge=archive_judge(2.0, 0.0)),
        planned(judge=archive_judge(1.0, 0.1)),
        planned(judge=archive_judge(None, 0.0)),
        planned(task=type(planned().task)(horizon=9)),
    ]
    digests = {recipe.digest, *(other.recipe.digest for other in others)}
    assert len(digests) == 1 + len(others)


def archive_judge(temperature, flip):
    from envs.judge import Judge

    return Judge(temperature, flip)


def test_authors_are_told_apart_by_their_numbers(planned):
    from envs.data import Author

    good, poor = planned().agents
    assert Author.of("x", good) == Author.of("x", good)
    assert Author.of("x", good) != Author.of("x", poor)


def test_large_members_are_not_limited_by_zip32(tmp_path, monkeypatch):
    """The 64-bit form of zip is what is written, and what is read, from the first byte on."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)
    values = np.arange(3000, dtype=np.float32).reshape(100, 2, 3, 5)
    dataset = Dataset(values, values, np.full((100, 2), 3, np.int32), about=About())
    dataset.save(tmp_path / "d.npz")
    np.testing.assert_array_equal(load(tmp_path / "d.npz").inputs, values)


def test_rows_must_be_as_announced(tmp_path):
    spec = {"x": np.zeros((4, 2), np.float32)}
    with (
        pytest.raises(ValueError, match="x: float64"),
        archive.writing(tmp_path / "a.npz", spec, {}) as writer,
    ):
        writer.append({"x": np.zeros((4, 2))})
    with (
        pytest.raises(ValueError, match="more rows than the 4"),
        archive.writing(tmp_path / "a.npz", spec, {}) as writer,
    ):
        writer.append({"x": np.zeros((5, 2), np.float32)})
    with (
        pytest.raises(ValueError, match="rows are missing in x"),
        archive.writing(tmp_path / "a.npz", spec, {}) as writer,
    ):
        writer.append({"x": np.zeros((3, 2), np.float32)})
    assert not list(tmp_path.iterdir())
