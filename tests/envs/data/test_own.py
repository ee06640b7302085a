import numpy as np
import pytest

from envs.data import from_arrays, from_npz, load
from mpo.errors import RequestError


def trajectories(rows=4, **changes):
    rng = np.random.default_rng(0)
    fields = {
        "inputs": rng.normal(size=(rows, 2, 5, 3)),
        "outputs": rng.normal(size=(rows, 2, 5, 1)),
        "length": np.full((rows, 2), 5),
        "reward": rng.normal(size=(rows, 2)),
        "agent": np.tile([0, 1], (rows, 1)),
        "agents": ("human", "model"),
    }
    return fields | changes


def tokens(**changes):
    fields = {"inputs": np.array([[3, 3], [4, 4]]), "outputs": np.ones((2, 2, 6), int)}
    return fields | changes


def spoilt(values, place, value):
    spoilt = np.array(values)
    spoilt[place] = value
    return spoilt


def test_own_trajectories_are_kept_in_the_stored_dtypes(tmp_path):
    mine = trajectories()
    dataset = from_arrays(**mine)
    dataset.save(tmp_path / "mine.npz")
    again = load(tmp_path / "mine.npz", task="hopper")
    for name, kind in (("inputs", "f4"), ("outputs", "f4"), ("reward", "f4"), ("length", "i4")):
        stored = again.arrays()[name]
        assert stored.dtype == kind
        np.testing.assert_array_equal(stored, mine[name].astype(kind))
    assert again.about.agents == ("human", "model")
    assert again.about.task is None
    assert again.about.recipe is None


def test_ranks_put_the_best_first():
    mine = trajectories(rows=3)
    rank = np.array([[0, 1], [1, 0], [1, 0]])
    dataset = from_arrays(**mine, rank=rank)
    for row, order in enumerate([[0, 1], [1, 0], [1, 0]]):
        for name in ("inputs", "outputs", "reward", "length", "agent"):
            expected = mine[name][row][order].astype(np.float32)
            np.testing.assert_array_equal(dataset.arrays()[name][row], expected)


def test_masks_become_lengths():
    mask = np.arange(5) < np.array([[1, 5], [3, 2], [5, 4], [2, 2]])[..., None]
    mine = trajectories(length=None, mask=mask)
    dataset = from_arrays(**mine)
    np.testing.assert_array_equal(dataset.length, mask.sum(-1))
    np.testing.assert_array_equal(dataset.mask, mask)


def test_prompts_of_several_tokens_are_accepted():
    dataset = from_arrays(np.zeros((2, 2, 9), int), np.zeros((2, 2, 6), int), vocabulary=1)
    assert dataset.inputs.shape == (2, 2, 9)
    assert np.all(dataset.length == 6)


def test_discrete_actions_are_accepted():
    assert not from_arrays(np.zeros((2, 2, 6, 3)), np.zeros((2, 2, 6), int)).outputs.any()


BAD_NUMBERS = [
    (
        trajectories(reward=spoilt(np.zeros((4, 2)), (3, 1), np.nan)),
        "row 3, response 1: reward is nan: it must be finite",
    ),
    (
        trajectories(inputs=spoilt(np.zeros((4, 2, 5, 3)), (2, 0, 4, 1), np.inf)),
        "row 2, response 0, step 4, entry 1: inputs is inf: it must be finite",
    ),
    (
        trajectories(outputs=spoilt(np.zeros((4, 2, 5, 1)), (0, 1, 2, 0), -np.inf)),
        "row 0, response 1, step 2, entry 0: outputs is -inf: it must be finite",
    ),
    (
        trajectories(ref_logp=spoilt(np.zeros((4, 2)), (1, 0), np.nan)),
        "row 1, response 0: ref_logp is nan: it must be finite",
    ),
    (
        trajectories(length=spoilt(np.full((4, 2), 5), (2, 1), 0)),
        r"row 2, response 1: length is 0: a length must be in \[1, 5\]",
    ),
    (
        trajectories(length=spoilt(np.full((4, 2), 5), (1, 0), 6)),
        r"row 1, response 0: length is 6: a length must be in \[1, 5\]",
    ),
    (
        trajectories(length=None, mask=spoilt(np.ones((4, 2, 5), bool), (3, 0, 2), False)),
        "row 3, response 0, step 2: mask true after false",
    ),
    (
        trajectories(length=None, mask=spoilt(np.ones((4, 2, 5), bool), (1, 1), False)),
        "row 1, response 1: length is 0",
    ),
    (
        trajectories(rank=np.array([[0, 1], [1, 0], [1, 1], [0, 1]])),
        r"row 2: rank is \[1, 1\]; it must hold each place from 0 \(the best\) to 1 once",
    ),
    (
        trajectories(agent=spoilt(np.zeros((4, 2), int), (2, 0), 2)),
        "row 2, response 0: agent is 2: the names of 2 agents are given",
    ),
    (
        tokens(outputs=spoilt(np.ones((2, 2, 6), int), (1, 0, 3), 7), vocabulary=7),
        r"row 1, response 0, step 3: outputs is 7: a token must be in \[0, 7\)",
    ),
    (
        tokens(inputs=np.array([[3, 3], [4, -1]])),
        "row 1, response 1: inputs is -1: a token must be at least 0",
    ),
    (
        trajectories(inputs=spoilt(np.zeros((4, 2, 5, 3)), (2, 0, 4, 1), 1e300)),
        r"row 2, response 0, step 4, entry 1: inputs is 1e\+300: it must fit a float of 32 bits",
    ),
    (
        tokens(outputs=spoilt(np.ones((2, 2, 6), int), (1, 0, 3), 2**40 + 5)),
        "row 1, response 0, step 3: outputs is 1099511627781: it must fit an integer of 32 bits",
    ),
]


@pytest.mark.parametrize(("fields", "message"), BAD_NUMBERS)
def test_bad_numbers_are_named_by_row_and_field(fields, message):
    with pytest.raises(RequestError, match=message):
        from_arrays(**fields)


BAD_SHAPES = [
    (trajectories(outputs=np.zeros((4, 2)), length=None), r"outputs has shape \[4, 2\]: it must"),
    (
        trajectories(length=None, mask=np.ones((4, 2, 2), bool)),
        r"mask is bool\[4, 2, 2\]: it must be booleans \[N, K, T\] = \[4, 2, 5\]",
    ),
    (trajectories(length=None, mask=[[True], [True, True]]), "mask is ragged"),
    (trajectories(reward=np.zeros((3, 2))), r"reward has shape \[3, 2\], and outputs has 4 rows"),
    (trajectories(reward=np.zeros((4, 3))), r"reward has shape \[4, 3\]: it must be \[4, 2\]"),
    (trajectories(length=np.full((5, 2), 5)), "length has shape .* and outputs has 4 rows"),
    (
        trajectories(rank=np.zeros((4, 3), int)),
        r"rank is int64\[4, 3\]: it must be integers \[4, 2\]",
    ),
    (trajectories(rank=np.zeros((4, 2))), r"rank is float64\[4, 2\]"),
    (trajectories(length=None, mask=np.ones((4, 2), bool)), r"mask is bool\[4, 2\]"),
    (trajectories(length=None, mask=np.ones((4, 2, 5))), r"mask is float64"),
    (trajectories(mask=np.ones((4, 2, 5), bool)), "length and mask were both given"),
    (
        trajectories(inputs=np.zeros((4, 2, 6, 3))),
        r"inputs has shape .* \[4, 2, 5\], as in outputs",
    ),
    (trajectories(inputs=np.zeros((4, 3))), r"inputs has shape \[4, 3\]: observations must be"),
    (trajectories(outputs=np.zeros((4, 2, 5))), "actions must be"),
    (
        trajectories(outputs=np.zeros((4, 2))),
        r"outputs has shape \[4, 2\]: it must be \[N, K, T, A\]",
    ),
    (trajectories(outputs=np.zeros((4, 1, 5, 1))), "at least 2 responses"),
    (trajectories(outputs=np.zeros((0, 2, 5, 1))), "at least 1 row"),
    (trajectories(reward=np.zeros((4, 2), int)), "reward has dtype int64: it must be floats"),
    (trajectories(length=np.full((4, 2), 5.0)), "length has dtype float64: it must be integers"),
    (trajectories(inputs=np.full((4, 2, 5, 3), "a")), "inputs has dtype <U1"),
    (trajectories(inputs=np.full((4, 2, 5, 3), None)), "inputs has dtype object"),
    (trajectories(inputs=[[1.0], [1.0, 2.0]]), "inputs is ragged"),
    (tokens(inputs=np.array([[3, 3, 3], [4, 4, 4]])), r"contexts must be \[N, K\]"),
]


@pytest.mark.parametrize(("fields", "message"), BAD_SHAPES)
def test_bad_shapes_and_dtypes_are_named_by_field(fields, message):
    with pytest.raises(RequestError, match=message):
        from_arrays(**fields)


def test_numbers_are_checked_again_before_they_are_saved(tmp_path):
    import dataclasses

    dataset = from_arrays(**trajectories())
    spoiled = dataclasses.replace(dataset, reward=spoilt(dataset.reward, (0, 0), np.nan))
    with pytest.raises(RequestError, match="row 0, response 0: reward is nan"):
        spoiled.save(tmp_path / "d.npz")
    assert not list(tmp_path.iterdir())


def test_arrays_of_a_plain_npz_are_imported(tmp_path):
    np.savez(tmp_path / "plain.npz", rank=np.array([[1, 0], [0, 1]]), **tokens())
    dataset = from_npz(tmp_path / "plain.npz", vocabulary=9)
    assert dataset.about.vocabulary == 9
    with pytest.raises(RequestError, match="discovery data import"):
        load(tmp_path / "plain.npz")


def test_what_is_wrong_with_a_plain_npz_is_said(tmp_path):
    path = tmp_path / "plain.npz"
    with pytest.raises(RequestError, match="no such file"):
        from_npz(path)
    path.write_bytes(b"PK")
    with pytest.raises(RequestError, match="is no npz file"):
        from_npz(path)
    np.savez(path, inputs=np.array([[None, None]]), outputs=np.zeros(3))
    with pytest.raises(RequestError, match="is no npz file of arrays"):
        from_npz(path)
    np.savez(path, chosen=np.zeros(3), **tokens())
    with pytest.raises(RequestError, match="arrays named chosen: known are agent, inputs"):
        from_npz(path)
    np.savez(path, inputs=np.zeros(3))
    with pytest.raises(RequestError, match="no array named outputs"):
        from_npz(path)
    np.savez(path, **tokens(inputs=np.array([[3, 3], [4, -1]])))
    with pytest.raises(RequestError, match=r"plain\.npz: row 1, response 1"):
        from_npz(path)
