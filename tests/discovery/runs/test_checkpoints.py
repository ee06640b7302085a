"""Checkpoints: whole round trips, damage of any kind falls back, and nothing saved is lost."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from discovery.runs.checkpoints import KEEP, Checkpoints
from discovery.search.search import State

# A read that fails leaves orbax's other reads behind in an event loop that is closed.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def state(generation, size=16):
    return State(
        strategy={
            "mean": jnp.arange(size, dtype=float) + generation / 7,
            "count": jnp.int32(generation),
        },
        generation=jnp.int32(generation),
        best=jnp.full(size, jnp.pi),
        advantage=jnp.float32(generation),
        tail=jnp.zeros(size),
    )


@pytest.fixture
def saved(tmp_path):
    folder = tmp_path / "checkpoints"
    checkpoints = Checkpoints(folder)
    for generation in (1, 2, 3, 4):
        checkpoints.save(generation, state(generation), {"note": generation})
    checkpoints.close()
    return folder


def same(a, b):
    assert str(jax.tree.structure(a)) == str(jax.tree.structure(b))
    for one, other in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype


def newest(folder, like=None):
    said: list[str] = []
    checkpoints = Checkpoints(folder)
    try:
        return checkpoints.newest(state(0) if like is None else like, said.append), said
    finally:
        checkpoints.close()


def test_the_newest_comes_back_as_it_was_saved(saved):
    restored, said = newest(saved)
    same(restored.state, state(4))
    assert restored.about == {"note": 4}
    assert said == []


def test_nothing_saved_is_nothing_found(tmp_path):
    assert newest(tmp_path / "none") == (None, [])


def test_only_a_few_are_kept(saved):
    steps = sorted(int(p.name) for p in saved.iterdir() if p.name.isdigit())
    assert steps == [2, 3, 4]
    assert len(steps) == KEEP


def biggest(folder):
    """Return the file that holds the numbers."""
    return max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def cut_short(folder):
    file = biggest(folder)
    file.write_bytes(file.read_bytes()[:-20])


def flip(folder):
    for file in (p for p in folder.rglob("d/*") if p.is_file()):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 0x10
        file.write_bytes(content)


def empty(folder):
    for file in (p for p in folder.rglob("*") if p.is_file()):
        file.write_bytes(b"")


def without_numbers(folder):
    for file in [p for p in folder.rglob("d/*") if p.is_file()]:
        file.unlink()


def without_notes(folder):
    (folder / "about" / "metadata").write_text("{}")


@pytest.mark.parametrize("damage", [cut_short, flip, empty, without_numbers, without_notes])
def test_a_damaged_newest_falls_back_to_the_one_before_and_says_so(saved, damage):
    damage(saved / "4")
    restored, said = newest(saved)
    same(restored.state, state(3))
    assert len(said) == 1
    assert "generation 4 is damaged" in said[0]
    assert (saved.parent / "damaged-checkpoint-4").is_dir()


def test_two_damaged_ones_fall_back_twice_and_saving_goes_on(saved):
    flip(saved / "4")
    empty(saved / "3")
    said: list[str] = []
    checkpoints = Checkpoints(saved)
    restored = checkpoints.newest(state(0), said.append)
    assert restored is not None
    same(restored.state, state(2))
    assert len(said) == 2
    for generation in (3, 4):
        checkpoints.save(generation, state(generation), {})
        same(newest(saved)[0].state, state(generation))
    checkpoints.close()


def test_what_is_not_saved_is_said(saved):
    checkpoints = Checkpoints(saved)
    with pytest.raises(OSError, match="generation 2 could not be written"):
        checkpoints.save(2, state(2), {})
    checkpoints.close()


def test_if_all_are_damaged_the_run_does_not_silently_begin_anew(saved):
    for step in (2, 3, 4):
        empty(saved / str(step))
    with pytest.raises(RuntimeError, match=r"every checkpoint .* was damaged"):
        newest(saved)


def test_a_checkpoint_of_another_search_is_not_taken_for_this_ones(saved):
    with pytest.raises(RuntimeError):
        newest(saved, like=state(0, size=17))


def test_what_a_killed_process_left_half_written_is_not_a_checkpoint(saved):
    import shutil

    half = saved / "5.orbax-checkpoint-tmp"
    shutil.copytree(saved / "4", half)
    (half / "commit_success.txt").unlink(missing_ok=True)
    restored, said = newest(saved)
    same(restored.state, state(4))
    assert said == []
    checkpoints = Checkpoints(saved)
    checkpoints.save(5, state(5), {})
    checkpoints.close()
    same(newest(saved)[0].state, state(5))


def test_a_failure_to_write_is_an_oserror_and_leaves_the_others(saved, monkeypatch):
    checkpoints = Checkpoints(saved)

    def full(*arguments, **settings):
        raise ValueError("INTERNAL: write failed: No space left on device")

    monkeypatch.setattr(checkpoints._manager, "save", full)
    with pytest.raises(OSError, match=r"generation 9 could not be written .*No space left"):
        checkpoints.save(9, state(9), {})
    checkpoints.close()
    same(newest(saved)[0].state, state(4))


def test_the_structure_survives_a_nested_state(tmp_path):
    nested = dataclasses.replace(state(1), strategy=(jnp.ones(3), {"a": [jnp.int32(2)]}))
    checkpoints = Checkpoints(tmp_path / "c")
    checkpoints.save(1, nested, {})
    checkpoints.close()
    same(newest(tmp_path / "c", like=nested)[0].state, nested)
