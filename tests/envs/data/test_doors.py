"""What others wrote becomes the same dataset by every door; what cannot be is said in a line."""

import contextlib
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import envs
from envs.data import About, from_file, load
from envs.data import pairs as pairs_module
from envs.data.origin import Origin
from envs.judge import Grading, Judge
from mpo.errors import RequestError

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

BANDIT = "token_bandit"


def tokens(rows=12, seed=0):
    rng = np.random.default_rng(seed)
    return [
        {
            "prompt": [int(rng.integers(100))],
            "chosen": rng.integers(0, 100, 10).tolist(),
            "rejected": rng.integers(0, 100, 1 + row % 10).tolist(),
            "chosen_reward": float(row),
            "rejected_reward": -1.0,
        }
        for row in range(rows)
    ]


def steps(rows=5, most=6, seed=0):
    """Pairs of episodes of the task "reach", which sees two numbers and does two."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(rows):
        row = {}
        for side in ("chosen", "rejected"):
            length = 1 + (number + len(side)) % most
            row[f"{side}_observations"] = rng.normal(size=(length, SEEN)).tolist()
            row[f"{side}_actions"] = rng.normal(size=(length, DONE)).tolist()
        found.append(row)
    return found


SEEN, DONE = (envs.task("reach").policy.observation_size, envs.task("reach").policy.action_size)


def as_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def as_parquet(path, rows):
    parquet.write_table(pa.Table.from_pylist(rows), path)
    return path


def as_saved(path, rows, split=None, parts=2):
    """Write what `datasets.Dataset.save_to_disk` does: streams of Arrow, and what they are."""
    folder = path if split is None else path / split
    folder.mkdir(parents=True)
    table = pa.Table.from_pylist(rows)
    names = []
    size = -(-len(rows) // parts)
    for number in range(parts):
        name = f"data-{number:05}-of-{parts:05}.arrow"
        part = table.slice(number * size, size)
        with (
            pa.OSFile(str(folder / name), "wb") as file,
            pa.ipc.new_stream(file, table.schema) as out,
        ):
            out.write_table(part)
        names.append({"filename": name})
    (folder / "state.json").write_text(json.dumps({"_data_files": names}))
    if split is not None:
        (path / "dataset_dict.json").write_text(json.dumps({"splits": [split]}))
    return path


@pytest.mark.parametrize(("rows", "task"), [(tokens(), BANDIT), (steps(), "reach")])
def test_the_same_pairs_are_the_same_dataset_by_every_door(tmp_path, rows, task):
    doors = {
        "lines of JSON": as_lines(tmp_path / "a.jsonl", rows),
        "parquet": as_parquet(tmp_path / "a.parquet", rows),
        "a dataset saved to disk": as_saved(tmp_path / "a", rows),
    }
    found = {form: from_file(path, task) for form, path in doors.items()}
    (fingerprint,) = {dataset.fingerprint for dataset in found.values()}
    for form, dataset in found.items():
        assert dataset.about.origin.form == form
        assert dataset.about.origin.read == {"rows": len(rows)}
        assert len(dataset) == len(rows)
    split = from_file(as_saved(tmp_path / "b", rows, "train"), task)
    assert split.fingerprint == fingerprint


def test_tokens_rewards_and_lengths_are_where_they_belong(tmp_path):
    rows = tokens()
    dataset = from_file(as_lines(tmp_path / "a.jsonl", rows), BANDIT)
    assert dataset.reward is not None
    for row, length, outputs, inputs, reward in zip(
        rows, dataset.length, dataset.outputs, dataset.inputs, dataset.reward, strict=True
    ):
        for side, name in enumerate(("chosen", "rejected")):
            assert outputs[side, : length[side]].tolist() == row[name]
            assert not outputs[side, length[side] :].any()
            assert inputs[side] == row["prompt"][0]
            assert reward[side] == row[f"{name}_reward"]
    assert dataset.about.vocabulary == 100


def test_columns_of_other_names_and_nested_ones_are_told(tmp_path):
    rows = [
        {"q": row["prompt"], "a": {"ids": row["chosen"]}, "rejected_ids": row["rejected"]}
        for row in tokens()
    ]
    names = {"prompt": "q", "chosen": "a.ids"}
    by_lines = from_file(as_lines(tmp_path / "a.jsonl", rows), BANDIT, columns=names)
    by_table = from_file(as_parquet(tmp_path / "a.parquet", rows), BANDIT, columns=names)
    assert by_lines.fingerprint == by_table.fingerprint
    assert by_lines.reward is None


def test_rows_that_cannot_be_trained_on_are_counted_and_the_file_keeps_it(tmp_path):
    rows = tokens(6)
    rows[0]["chosen"] = None
    rows[1]["rejected"] = []
    rows[2]["rejected"] = rows[2]["chosen"]
    rows[3]["chosen"] = [1] * 11
    rows[4]["prompt"] = [1, 2]
    dataset = from_file(as_lines(tmp_path / "a.jsonl", rows), BANDIT)
    assert len(dataset) == 1
    dataset.save(tmp_path / "d.npz")
    origin = load(tmp_path / "d.npz").about.origin
    assert origin == dataset.about.origin
    assert origin.source == "a.jsonl"
    assert sum(origin.dropped.values()) == 5
    assert origin.dropped["with the same response twice"] == 1


def spoilt(changes, row=1, number=3):
    rows = tokens(number)
    rows[row] |= changes
    return rows


TEXT = "chosen is text or nested: it must be token ids, such as those of tokenizer"


@pytest.mark.parametrize("write", [as_lines, as_parquet])
@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (spoilt({"chosen": [3, 100]}), "row 2: chosen has the token 100, and task 'token_bandit'"),
        (spoilt({"chosen": [3, -1]}), "row 2: chosen has the token -1"),
        (spoilt({"chosen": "fine"}, 0, 1), f"row 1: {TEXT}"),
        (spoilt({"chosen": [1.5, 2.0]}, 0, 1), "chosen is of float64: it must be token ids"),
        (spoilt({"chosen_reward": float("nan")}), "row 2: chosen_reward is nan"),
        (spoilt({"chosen": [[1], [2]]}, 0, 1), r"chosen is of shape \[2, 1\]"),
        (spoilt({"chosen": [[1], [2, 3]]}, 0, 1), "chosen is (ragged|text or nested)"),
        ([{"prompt": [1], "chosen": [1]}], "has no column 'rejected', only prompt, chosen"),
        ([{"prompt": [1], "chosen": [1], "rejected": []}], "no row is left of 1: 1 with an empty"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_in_a_line(tmp_path, rows, words, write):
    suffix = ".jsonl" if write is as_lines else ".parquet"
    path = write(tmp_path / f"a{suffix}", rows)
    with pytest.raises(RequestError, match=words) as caught:
        from_file(path, BANDIT)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


def test_ragged_and_misshapen_steps_are_refused(tmp_path):
    rows = steps(2)
    rows[1]["chosen_actions"] = [[1.0] * DONE, [1.0] * (DONE + 1)]
    with pytest.raises(RequestError, match=r"row 2: chosen_actions is ragged"):
        from_file(as_lines(tmp_path / "a.jsonl", rows), "reach")
    rows[1]["chosen_actions"] = [[1.0] * (DONE + 1)]
    with pytest.raises(RequestError, match=r"row 2: chosen: actions are of shape \[1, \d\]"):
        from_file(as_lines(tmp_path / "a.jsonl", rows), "reach")
    rows[1] = steps(1)[0] | {"rejected_observations": [[0.0] * SEEN] * 9}
    with pytest.raises(RequestError, match="row 2: rejected has 9 observations and"):
        from_file(as_lines(tmp_path / "a.jsonl", rows), "reach")


BROKEN = {
    "empty.jsonl": (b"", "has no rows"),
    "blank.jsonl": (b"\n\n", "has no rows"),
    "half.jsonl": (b'{"prompt": [1], "cho', "line 1 is no JSON"),
    "list.jsonl": (b"[1, 2]\n", "line 1 is no object of columns"),
    "bytes.jsonl": (b'{"a": "\xff"}', "cannot be read"),
    "deep.jsonl": (b"[" * 100_000, "line 1 is no JSON"),
    "empty.parquet": (b"", "cannot be read"),
    "junk.parquet": (b"PAR1" + bytes(40) + b"PAR1", "cannot be read"),
    "junk.hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(40), "cannot be read"),
    "junk.npz": (b"PK\x03\x04", "is no npz file"),
    "text.csv": (b"a,b", "is none of what can be imported"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_refused_in_a_line(tmp_path, name):
    content, words = BROKEN[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RequestError, match=words) as caught:
        from_file(tmp_path / name, BANDIT)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["state", "part", "json"])
def test_a_damaged_folder_is_refused_in_a_line(tmp_path, damage):
    path = as_saved(tmp_path / "a", tokens())
    if damage == "state":
        (path / "state.json").write_text("{}")
    elif damage == "json":
        (path / "state.json").write_text("{")
    else:
        part = sorted(path.glob("*.arrow"))[1]
        part.write_bytes(part.read_bytes()[:200])
    with pytest.raises(RequestError, match="cannot be read"):
        from_file(path, BANDIT)


@given(content=st.binary(max_size=60), cut=st.integers(0, 4000), at=st.integers(0, 3999))
def test_a_parquet_of_flipped_bytes_is_read_or_refused(tmp_path_factory, content, cut, at):
    path = tmp_path_factory.mktemp("flipped") / "a.parquet"
    whole = bytearray(as_parquet(path, tokens()).read_bytes())
    whole[at % len(whole) : at % len(whole) + len(content)] = content
    path.write_bytes(bytes(whole[: max(cut, 8)]))
    with contextlib.suppress(RequestError):
        from_file(path, BANDIT)


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"columns": {"chosn": "a"}}, "unknown column of pairs 'chosn'"),
        ({"split": "test"}, "has no splits"),
        ({"steps": 5}, "leave out steps=5"),
        ({"vocabulary": 5}, "leave out vocabulary=5"),
        ({"task": None}, "say which task it is of"),
        ({"task": None, "horizon": 5}, "horizon: say of which task"),
        ({"task": "bandit"}, "unknown task 'bandit'"),
        ({"judge": "strict"}, "unknown judge 'strict'"),
        ({"judge": "perfect", "flip": 2.0}, "flip"),
    ],
)
def test_requests_that_do_not_go_with_a_table_are_refused(tmp_path, choices, words):
    path = as_lines(tmp_path / "a.jsonl", tokens())
    with pytest.raises(RequestError, match=words):
        from_file(path, **{"task": BANDIT, **choices})


def test_no_such_file_or_split(tmp_path):
    with pytest.raises(RequestError, match="no such file or folder"):
        from_file(tmp_path / "a.jsonl", BANDIT)
    path = as_saved(tmp_path / "a", tokens(), "test")
    with pytest.raises(RequestError, match="unknown split 'train': known are test"):
        from_file(path, BANDIT)
    assert len(from_file(path, BANDIT, split="test")) == 12


JUDGE = """
import jax.numpy as jnp


def low(inputs, outputs, mask):
    return -jnp.mean(outputs, where=mask)


def two(inputs, outputs, mask):
    return outputs[:2]


def bad(inputs, outputs, mask):
    return jnp.log(-1.0 - jnp.sum(outputs).astype(float))


def failing(inputs, outputs, mask):
    return outputs["a"]
"""


@pytest.fixture
def judge(tmp_path):
    (tmp_path / "mine.py").write_text(JUDGE)
    return f"{tmp_path / 'mine.py'}:"


def test_a_judge_of_yours_ranks_pairs_anew(tmp_path, judge):
    path = as_lines(tmp_path / "a.jsonl", tokens())
    dataset = from_file(path, BANDIT, judge=judge + "low")
    means = np.sum(dataset.outputs * dataset.mask, -1) / dataset.length
    assert np.all(means[:, 0] <= means[:, 1])
    origin = dataset.about.origin
    assert origin.judge == Judge(None)
    assert origin.grading.place == "mine.py:low"
    assert len(origin.grading.sha256) == 64
    turned = from_file(path, BANDIT, judge=judge + "low", flip=1.0)
    np.testing.assert_array_equal(turned.outputs, dataset.outputs[:, ::-1])
    by_truth = from_file(path, BANDIT, judge="perfect")
    assert np.all(by_truth.reward[:, 0] > by_truth.reward[:, 1])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("two", r"judge two returns \[2\] for a response"),
        ("bad", "says nan of a response"),
        ("failing", "judge failing fails"),
        ("none", "has no function 'none'"),
    ],
)
def test_a_judge_that_says_no_number_is_refused(tmp_path, judge, name, words):
    path = as_lines(tmp_path / "a.jsonl", tokens())
    with pytest.raises(RequestError, match=words):
        from_file(path, BANDIT, judge=judge + name)


def test_levels_need_true_returns(tmp_path):
    rows = [{k: v for k, v in row.items() if "reward" not in k} for row in tokens()]
    with pytest.raises(RequestError, match="no true returns to be judged by"):
        from_file(as_lines(tmp_path / "a.jsonl", rows), BANDIT, judge="perfect")


def test_own_arrays_come_in_by_the_same_door(tmp_path):
    rows = tokens()
    whole = from_file(as_lines(tmp_path / "a.jsonl", rows), BANDIT)
    arrays: dict[str, Any] = whole.arrays()
    np.savez(tmp_path / "a.npz", **arrays)
    again = from_file(tmp_path / "a.npz", BANDIT, vocabulary=100)
    assert again.fingerprint == whole.fingerprint
    assert again.about.origin.form == "arrays"


def test_what_an_origin_says_comes_back():
    for origin in (
        Origin("a", "parquet", {"rows": 3}, {"empty": 1}),
        Origin("a", "b", {"rows": 3}, {}, Judge(2.0, 0.1), Grading("a.py:f", "0" * 64), 3),
    ):
        about = About(task="t", origin=origin)
        assert About.from_json(json.loads(json.dumps(about.as_json()))) == about
    assert "origin" not in About().as_json()


def test_all_roles_have_usual_names():
    assert {*pairs_module.TOKENS} == {"prompt", "chosen", "rejected"}
    assert "chosen.actions" in pairs_module.STEPS["chosen_actions"]
