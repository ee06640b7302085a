import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.data import DatasetError, from_arrays, load
from mpo.errors import RequestError


def numbered(lengths, steps, **known):
    """A dataset whose every input says where it is: (row, response, step)."""
    lengths = np.array(lengths, np.int32)
    rows, responses = lengths.shape
    place = np.stack(np.meshgrid(*map(np.arange, (rows, responses, steps)), indexing="ij"), -1)
    place = np.where((np.arange(steps) < lengths[..., None])[..., None], place, -1)
    return from_arrays(
        place.astype(np.float32), place[..., 2:].astype(np.float32), length=lengths, **known
    )


def test_whole_responses_come_as_they_are():
    reward = np.array([[2.0, 1.0], [4.0, 3.0]])
    dataset = numbered([[5, 3], [1, 5]], 5, reward=reward, ref_logp=-reward)
    batch = jax.jit(lambda v, i: v.batch(i))(dataset.view(), jnp.array([1, 0, 1]))
    pick = [1, 0, 1]
    np.testing.assert_array_equal(batch.inputs, dataset.inputs[pick])
    np.testing.assert_array_equal(batch.outputs, dataset.outputs[pick])
    np.testing.assert_array_equal(batch.mask, dataset.mask[pick])
    np.testing.assert_array_equal(batch.length, dataset.length[pick])
    np.testing.assert_array_equal(batch.reward, reward[pick])
    np.testing.assert_array_equal(batch.ref_logp, -reward[pick])


@settings(max_examples=12)
@given(
    lengths=st.lists(st.tuples(*[st.integers(1, 12)] * 2), min_size=3, max_size=3),
    steps=st.integers(1, 12),
)
@pytest.mark.slow
def test_an_epoch_of_segments_covers_every_step_and_nothing_else(lengths, steps):
    view = numbered(lengths, 12).view(steps)
    batch = view.batch(jnp.arange(view.size))
    mask = np.asarray(batch.mask)
    assert np.all(mask.any(-1)), "no segment is empty"
    full = np.minimum(np.repeat(lengths, view.segments, axis=0), view.steps)
    np.testing.assert_array_equal(mask.sum(-1), full)
    seen = {tuple(map(int, place)) for place in np.asarray(batch.inputs)[mask]}
    assert seen == {
        (row, response, step)
        for row, pair in enumerate(lengths)
        for response, length in enumerate(pair)
        for step in range(length)
    }
    np.testing.assert_array_equal(batch.inputs[..., 2:], batch.outputs)


def test_segments_are_runs_of_steps_of_one_row_at_the_same_relative_place():
    view = numbered([[12, 12], [12, 4]], 12).view(4)
    batch = view.batch(jnp.arange(6))
    first = np.asarray(batch.inputs)[:, :, 0]
    assert first[:, 0].tolist() == [[r, 0, s] for r, s in itertools.product((0, 1), (0, 4, 8))]
    assert first[:, 1, 2].tolist() == [0, 4, 8, 0, 0, 0]
    assert np.all(np.diff(np.asarray(batch.inputs)[..., 2], axis=-1) == 1)


def test_the_last_segment_is_moved_back_to_be_full():
    view = numbered([[10, 7]], 10).view(4)
    batch = view.batch(jnp.arange(3))
    assert np.asarray(batch.inputs)[:, 0, 0, 2].tolist() == [0, 4, 6]
    assert np.asarray(batch.inputs)[:, 1, 0, 2].tolist() == [0, 0, 3]
    assert np.all(batch.mask)


@pytest.mark.sweep
def test_samples_are_uniform_over_items():
    view = numbered([[4, 4]] * 5, 4).view(2)
    batch = view.sample(jax.random.key(0), 20_000)
    counts = np.unique(np.asarray(batch.inputs)[:, 0, 0], axis=0, return_counts=True)[1]
    assert len(counts) == view.size == 10
    assert np.all(np.abs(counts - 2000) < 4 * np.sqrt(2000))


def test_a_population_shares_one_copy():
    view = numbered([[4, 4]] * 5, 4).view(2)
    keys = jax.random.split(jax.random.key(0), 3)
    shapes = jax.make_jaxpr(jax.vmap(lambda k, v: v.sample(k, 8).outputs, (0, None)))(keys, view)
    held = [value.aval.shape for eqn in shapes.eqns for value in eqn.outvars]
    assert (3, *view.inputs.shape) not in held
    again = view.cut(None)
    assert again.inputs is view.inputs
    assert again.size == 5


def test_a_view_is_not_traced_again_for_other_items():
    view, traces = numbered([[4, 4]] * 5, 4).view(2), []

    @jax.jit
    def draw(view, key):
        traces.append(key)
        return view.sample(key, 4)

    for seed in range(3):
        draw(view, jax.random.key(seed))
    assert len(traces) == 1


@pytest.mark.sweep
def test_segments_know_no_log_probability_of_the_whole():
    dataset = numbered([[4, 4]], 4, ref_logp=np.zeros((1, 2)))
    assert dataset.view(2).batch(jnp.arange(1)).ref_logp is None
    assert dataset.view(4).batch(jnp.arange(1)).ref_logp is not None


def test_token_sequences_are_viewed_whole():
    tokens = np.arange(2 * 2 * 3).reshape(2, 2, 3)
    dataset = from_arrays(np.array([[1, 1], [2, 2]]), tokens, length=np.array([[3, 2], [1, 3]]))
    batch = dataset.view().batch(jnp.array([1]))
    np.testing.assert_array_equal(batch.inputs, [[2, 2]])
    np.testing.assert_array_equal(batch.outputs, tokens[1:])
    np.testing.assert_array_equal(batch.length, [[1, 3]])
    with pytest.raises(RequestError, match="token sequences cannot be cut"):
        dataset.view(2)


@pytest.mark.parametrize("steps", [0, -1, 5])
def test_impossible_segments_are_refused(steps):
    with pytest.raises(RequestError, match="responses have 1 to 4"):
        numbered([[4, 4]], 4).view(steps)


@pytest.mark.sweep
def test_a_view_keeps_what_its_comparisons_need_to_be_answered_anew(planned, ledge, tmp_path):
    """Their starts, in the order of the rows, in the task's own structure; and who wrote them."""
    plan = planned(rows=6)
    plan.write(tmp_path / "d.npz")
    dataset = load(tmp_path / "d.npz")
    view = dataset.view(3)
    assert view.agent is not None
    items = jnp.arange(view.size)
    np.testing.assert_array_equal(view.rows(items), np.repeat(np.arange(6), view.segments))
    starts = jax.jit(lambda view: view.starts(ledge))(view)
    first = dataset.inputs[:, 0, 0]
    np.testing.assert_array_equal(starts, first, err_msg="the ledge shows where it starts")
    for name in ("agent", "start"):
        assert not hasattr(view.batch(items), name), "no batch carries them along"


def test_data_from_elsewhere_know_no_starts(ledge):
    view = numbered([[4, 4]], 4).view()
    assert (view.agent, view.start) == (None, ())
    with pytest.raises(DatasetError, match="does not know its starts in task 'ledge'"):
        view.starts(ledge)
