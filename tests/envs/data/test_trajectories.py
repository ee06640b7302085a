"""Episodes that others recorded become pairs ranked by return, whichever way they were kept."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import envs
from envs.data import from_file, load
from envs.data.trajectories import is_trajectories, trajectories
from mpo.errors import RequestError

h5py = pytest.importorskip("h5py")
pa = pytest.importorskip("pyarrow")
pytest.importorskip("pyarrow.parquet")

TASK = "reach"
SEEN, DONE = (envs.task(TASK).policy.observation_size, envs.task(TASK).policy.action_size)
MOST = envs.task(TASK).horizon


def episodes(lengths=(4, 7, 3, 5, 6), seed=0):
    """Return what was seen (one more than was done), done and earned."""
    rng = np.random.default_rng(seed)
    return [
        (
            rng.normal(size=(length + 1, SEEN)).astype(np.float32),
            rng.normal(size=(length, DONE)).astype(np.float32),
            rng.normal(size=length),
        )
        for length in lengths
    ]


def minari(path, found, ended=True):
    (path / "data").mkdir(parents=True)
    with h5py.File(path / "data" / "main_data.hdf5", "w") as file:
        for number, (seen, done, paid) in enumerate(found):
            group = file.create_group(f"episode_{number}")
            group["observations"], group["actions"], group["rewards"] = seen, done, paid
            group["terminations"] = np.zeros(len(paid), bool)
            group["truncations"] = np.arange(len(paid)) == (len(paid) - 1 if ended else -1)
            group.create_group("infos")
    return path


def tabled(path, found, form="parquet"):
    """Write what Minari does of a dataset that it stores as tables."""
    for number, (seen, done, paid) in enumerate(found):
        folder = path / "data" / str(number)
        folder.mkdir(parents=True)
        (folder / "metadata.json").write_text(json.dumps({"total_steps": len(paid)}))
        columns = {
            "observations": seen.tolist(),
            "actions": [*done.tolist(), [0.0] * DONE],
            "rewards": [*paid.tolist(), 0.0],
            "terminations": [False] * (len(paid) + 1),
            "truncations": [False] * (len(paid) - 1) + [True, False],
        }
        table = pa.table(columns)
        if form == "parquet":
            pa.parquet.write_table(table, folder / "part-0.parquet")
        else:
            with pa.ipc.new_file(str(folder / "part-0.arrow"), table.schema) as out:
                out.write_table(table)
    (path / "data" / "metadata.json").write_text("{}")
    return path


def flat(found, clocks=True):
    seen, done, paid = (np.concatenate(parts) for parts in zip(
        *((seen[:-1], done, paid) for seen, done, paid in found), strict=True))  # fmt: skip
    ends = np.cumsum([len(paid) for _, _, paid in found]) - 1
    last = np.isin(np.arange(len(paid)), ends)
    arrays = {"observations": seen, "actions": done, "rewards": paid, "terminals": last}
    return arrays | ({"timeouts": np.zeros(len(paid), bool)} if clocks else {})


def d4rl(path, arrays):
    if path.suffix == ".npz":
        np.savez(path, **arrays)
        return path
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values
    return path


@pytest.mark.parametrize("steps", [None, 3])
def test_the_same_episodes_are_the_same_dataset_however_they_were_kept(tmp_path, steps):
    found = episodes()
    places = (
        minari(tmp_path / "m", found),
        minari(tmp_path / "n", found) / "data" / "main_data.hdf5",
        tabled(tmp_path / "p", found),
        tabled(tmp_path / "q", found, "arrow"),
        d4rl(tmp_path / "a.npz", flat(found)),
        d4rl(tmp_path / "a.hdf5", flat(found)),
    )
    made = [from_file(path, TASK, steps=steps) for path in places]
    assert len({dataset.fingerprint for dataset in made}) == 1
    assert {dataset.about.origin.form for dataset in made} == {
        "Minari's folder",
        "arrays of all steps",
    }
    made[0].save(tmp_path / "d.npz")
    assert load(tmp_path / "d.npz", task=TASK).about.origin == made[0].about.origin


def test_whole_episodes_are_ranked_by_what_they_earned(tmp_path):
    found = episodes()
    dataset = from_file(minari(tmp_path / "m", found), TASK)
    assert len(dataset) == 2
    assert np.all(dataset.reward[:, 0] > dataset.reward[:, 1])
    returns = {round(float(np.sum(paid)), 4): (seen, done) for seen, done, paid in found}
    for row in range(2):
        for side in range(2):
            seen, done = returns[round(float(dataset.reward[row, side]), 4)]
            length = dataset.length[row, side]
            assert length == len(done)
            np.testing.assert_array_equal(dataset.inputs[row, side, :length], seen[:-1])
            np.testing.assert_array_equal(dataset.outputs[row, side, :length], done)
            assert not dataset.outputs[row, side, length:].any()
    assert dataset.about.origin.read == {"episodes": 5, "steps": 25, "whole episodes": 5}


@settings(max_examples=8)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=2, max_size=12),
    steps=st.integers(1, 4),
    seed=st.integers(0, 3),
)
def test_segments_are_whole_runs_of_steps_and_each_is_used_once(
    tmp_path_factory, lengths, steps, seed
):
    count = sum(length // steps for length in lengths)
    path = d4rl(tmp_path_factory.mktemp("d") / "a.npz", flat(episodes(lengths)))
    if count < 2:
        with pytest.raises(RequestError, match=f"{count} segments cannot be compared"):
            from_file(path, TASK, steps=steps)
        return
    dataset = from_file(path, TASK, steps=steps, seed=seed)
    assert len(dataset) == count // 2
    assert np.all(dataset.length == steps)
    assert np.all(dataset.reward[:, 0] >= dataset.reward[:, 1])
    used = {part.tobytes() for part in dataset.inputs.reshape(-1, steps * SEEN)}
    assert len(used) == 2 * len(dataset)
    origin = dataset.about.origin
    assert origin.read["segments"] * steps + sum(origin.dropped.values()) == sum(lengths)


def test_more_pairs_use_every_segment_about_as_often(tmp_path):
    path = d4rl(tmp_path / "a.npz", flat(episodes([6] * 4)))
    dataset = from_file(path, TASK, rows=6)
    _, times = np.unique(dataset.reward.round(4), return_counts=True)
    assert times.tolist() == [3, 3, 3, 3]
    with pytest.raises(RequestError, match="rows must be 1 to 6, as many pairs as 4 episodes have"):
        from_file(path, TASK, rows=7)


def test_the_judge_and_its_seed_are_kept_and_repeat(tmp_path):
    path = d4rl(tmp_path / "a.npz", flat(episodes([5] * 200)))
    made = [from_file(path, TASK, temperature=1.0, flip=0.1, seed=seed) for seed in (3, 3, 4)]
    assert made[0].fingerprint == made[1].fingerprint != made[2].fingerprint
    origin = made[0].about.origin
    assert (origin.judge.temperature, origin.judge.flip, origin.seed) == (1.0, 0.1, 3)
    right = np.mean(made[0].reward[:, 0] > made[0].reward[:, 1])
    assert 0.6 < right < 0.95
    assert np.mean(from_file(path, TASK, flip=1.0).reward @ np.array([1.0, -1.0])) < 0


def test_episodes_that_did_not_end_or_are_too_long_are_left_out(tmp_path):
    found = episodes((4, 5, MOST + 1))
    dataset = from_file(d4rl(tmp_path / "a.npz", flat(found)), TASK)
    assert dataset.about.origin.dropped == {f"of more than {MOST:,} steps": 1}
    arrays = flat(episodes((4, 5, 3)))
    arrays["terminals"][-1] = False
    dataset = from_file(d4rl(tmp_path / "b.npz", arrays), TASK)
    assert dataset.about.origin.dropped == {"that did not come to an end": 1}
    with pytest.raises(RequestError, match="0 episodes cannot be compared; left out: 5 that"):
        from_file(minari(tmp_path / "m", episodes(), ended=False), TASK)


def test_where_no_clock_is_told_it_is_the_tasks(tmp_path):
    arrays = flat(episodes((MOST, MOST + 2, 3)), clocks=False)
    arrays["terminals"][MOST - 1] = False
    found = trajectories(d4rl(tmp_path / "a.npz", arrays))
    lengths = [(len(one.actions), one.ended) for one in found.episodes(MOST)]
    assert lengths == [(MOST, True), (MOST, True), (2, True), (3, True)]


def test_arrays_of_other_names_and_in_groups_are_told(tmp_path):
    arrays = flat(episodes())
    usual = from_file(d4rl(tmp_path / "a.npz", arrays), TASK)
    named = {"rewards": "r", "observations": "o/state"}
    other = {**arrays, "r": arrays["rewards"], "o/state": arrays["observations"]}
    del other["rewards"], other["observations"]
    path = d4rl(tmp_path / "b.h5", other)
    assert from_file(path, TASK, columns=named).fingerprint == usual.fingerprint
    with pytest.raises(RequestError, match="o is a group of state: say which is meant, "):
        from_file(path, TASK, columns={"rewards": "r", "observations": "o"})
    with pytest.raises(RequestError, match=r"no array 'observations', only .*observations=NAME"):
        from_file(path, TASK, columns={"rewards": "r"})


def broken(**changes):
    return {**flat(episodes()), **changes}


BROKEN = [
    (broken(rewards=np.zeros(3)), "observations has 25 steps, and rewards 3"),
    (broken(rewards=np.full(25, np.nan)), "step 0: rewards has a number that is not finite"),
    (broken(rewards=np.array(["a"] * 25)), "rewards is <U1"),
    (broken(rewards=np.zeros((25, 2))), r"rewards is of shape \[25, 2\]"),
    (broken(actions=np.zeros((25, DONE + 1))), "episode 0: actions are of shape"),
    (broken(observations=np.zeros(25)), "episode 0: observations are of shape"),
    (broken(observations=np.full((25, SEEN), np.inf)), "step 0: observations has a number"),
    (broken(terminals=np.zeros(3)), "terminals has 3 steps"),
]


@pytest.mark.parametrize(("arrays", "words"), BROKEN)
def test_what_is_wrong_with_trajectories_is_said_in_a_line(tmp_path, arrays, words):
    path = d4rl(tmp_path / "a.npz", arrays)
    with pytest.raises(RequestError, match=words) as caught:
        from_file(path, TASK)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"task": None}, "say which task"),
        ({"task": "token_bandit"}, "has trajectories, and task 'token_bandit' texts of tokens"),
        ({"steps": MOST + 1}, "segments must have 1 to"),
        ({"steps": 0}, "segments must have 1 to"),
        ({"steps": 3, "judge": "low"}, "is calibrated at whole responses: give a temperature"),
        ({"columns": {"reward": "r"}}, "unknown array of trajectories 'reward'"),
        ({"split": "train"}, "holds trajectories: leave out split"),
    ],
)
def test_requests_that_do_not_go_with_trajectories_are_refused(tmp_path, choices, words):
    path = d4rl(tmp_path / "a.npz", flat(episodes()))
    with pytest.raises(RequestError, match=words):
        from_file(path, **{"task": TASK, **choices})


def test_what_are_trajectories_is_seen_without_reading_them(tmp_path):
    assert is_trajectories(d4rl(tmp_path / "a.npz", flat(episodes())))
    np.savez(tmp_path / "b.npz", inputs=np.zeros(1), outputs=np.zeros(1))
    assert not is_trajectories(tmp_path / "b.npz")
    assert not is_trajectories(tmp_path)


def test_a_minari_episode_of_arrays_that_do_not_agree_is_named(tmp_path):
    found = episodes()
    found[3] = (found[3][0][:2], *found[3][1:])
    with pytest.raises(RequestError, match=r"m, episode_3 has 2 observations, 5 actions"):
        from_file(minari(tmp_path / "m", found), TASK)


@pytest.mark.parametrize("damage", ["metadata", "table"])
def test_a_damaged_table_of_minari_is_refused_in_a_line(tmp_path, damage):
    path = tabled(tmp_path / "p", episodes())
    if damage == "table":
        (path / "data" / "2" / "part-0.parquet").write_bytes(b"PAR1")
    else:
        (path / "data" / "2" / "metadata.json").write_text("{")
    with pytest.raises(RequestError, match=r"p, episode_2 cannot be read") as caught:
        from_file(path, TASK)
    assert "\n" not in str(caught.value)
