"""Paths of weights: exact measures, honest nulls, little memory, one line for a bad checkpoint."""

import importlib
import json
import runpy
import subprocess
import sys
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest
import scipy.spatial
import scipy.stats
from safetensors.numpy import save_file

from discovery import algorithms
from discovery.cli import main
from discovery.weights import analyse, draw, geometry, measures, picture, save
from mpo import treefile
from tests.refusals import refusal

ROOT = Path(__file__).parents[2]
PAGE = runpy.run_path(str(ROOT / "docs" / "weights.py"))
RNG = np.random.default_rng(7)
MOMENTS = 12


def walk(seed, moments=MOMENTS, drift=0.0):
    """Return a tree of weights on a random walk, with moments on the leading axis."""
    rng = np.random.default_rng(seed)

    def leaf(*shape):
        steps = rng.normal(size=(moments, *shape)) + drift
        return np.cumsum(steps, axis=0).astype(np.float32)

    return {"table": leaf(40, 30), "head": {"bias": leaf(50), "scale": leaf()}}


def flat(tree):
    """Return the positions as a matrix, leaves in the order of their names."""
    leaves = sorted(treefile.named(tree))
    return np.concatenate(
        [np.reshape(leaf, (len(leaf), -1)).astype(np.float64) for _, leaf in leaves], axis=1
    )


@pytest.fixture
def two(tmp_path):
    """Write a path of a policy and one of a reward model; return folders and positions."""
    trees = {"policy": walk(1), "reward": walk(2)}
    for name, tree in trees.items():
        save(tmp_path / name, tree)
    return [tmp_path / name for name in trees], [flat(tree) for tree in trees.values()]


# --- measures -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "size"), [(9, 4), (20, 100), (40, 40)])
def test_procrustes_is_scipys(count, size):
    one, other = RNG.normal(size=(2, count, size))
    expected = scipy.spatial.procrustes(one, other)[2]
    assert abs(measures.disparity(one @ one.T, other @ other.T) - expected) < 1e-10


def test_procrustes_does_not_see_a_turn_a_scale_or_a_shift():
    points = RNG.normal(size=(15, 30))
    turn = np.linalg.qr(RNG.normal(size=(30, 30)))[0]
    moved = 3 * points @ turn + RNG.normal(size=30)
    assert measures.disparity(points @ points.T, moved @ moved.T) < 1e-10


def test_procrustes_of_unrelated_steps_falls_with_dimensions_alone():
    """The values of 100 dimensions, by the number of steps: the null that a disparity needs."""
    rng = np.random.default_rng(0)
    for count, expected in ((20, 0.10), (50, 0.24), (95, 0.42), (200, 0.68)):
        drawn = rng.normal(size=(2, 2, count, 100))
        found = [measures.disparity(*(points @ points.T for points in pair)) for pair in drawn]
        assert np.mean(found) == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize("dimensions", [1, 3])
def test_distance_correlation_is_1_for_affine_pairs(dimensions):
    points = RNG.normal(size=(30, dimensions))
    turn = np.linalg.qr(RNG.normal(size=(dimensions, dimensions)))[0]
    apart = [scipy.spatial.distance.cdist(p, p) for p in (points, 5 - 2 * points @ turn)]
    assert measures.distance_correlation(*apart) == pytest.approx(1, abs=1e-12)


def test_distance_correlation_is_that_of_a_naive_reference():
    one, other = RNG.normal(size=(2, 25))
    other = other + one**2

    def doubly_centred(values):
        n = len(values)
        apart = [[abs(values[i] - values[j]) for j in range(n)] for i in range(n)]
        rows = [sum(row) / n for row in apart]
        total = sum(rows) / n
        return [[apart[i][j] - rows[i] - rows[j] + total for j in range(n)] for i in range(n)]

    def covariance(a, b):
        return sum(x * y for r, s in zip(a, b, strict=True) for x, y in zip(r, s, strict=True))

    a, b = doubly_centred(one), doubly_centred(other)
    expected = (covariance(a, b) / (covariance(a, a) * covariance(b, b)) ** 0.5) ** 0.5
    apart = [np.abs(values[:, None] - values) for values in (one, other)]
    assert measures.distance_correlation(*apart) == pytest.approx(expected, abs=1e-10)


def test_the_nulls_of_the_papers_tables():
    draws = PAGE["unrelated"](100)
    assert np.mean(draws) == pytest.approx(0.170, abs=0.010)
    one, other = np.random.default_rng(0).normal(size=(2, 3000, 100))
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    degrees = np.degrees(np.arccos(np.sum(one * other, axis=1) / lengths))
    assert PAGE["angle_spread"](100) == pytest.approx(np.std(degrees), rel=0.05)
    assert PAGE["angle_spread"](10_000) == pytest.approx(0.573, rel=0.01)


def test_the_papers_tables_are_not_told_from_unrelated_vectors_but_for_one_number():
    odd = {
        (method, name)
        for method, rows in PAGE["papers"]().items()
        for name, measured in rows.items()
        if measured.p < 0.05
    }
    assert odd == {("online DPO", "farthest Pearson, absolute")}


@pytest.mark.skipif(
    not (PAGE["OUT"] / "results.json").exists(), reason="python docs/weights.py was not run yet"
)
def test_the_page_says_what_was_measured():
    told = (ROOT / "docs" / "weights.md").read_text()
    assert PAGE["said"]() in told
    assert PAGE["said_of_layers"]() in told


def test_the_components_of_a_random_walk():
    rng = np.random.default_rng(0)
    drawn = [measures.shares(measures.walk(rng, 200, 10_000))[:2] for _ in range(10)]
    first, second = np.mean(drawn, axis=0)
    assert first == pytest.approx(0.608, abs=0.03)
    assert second == pytest.approx(0.152, abs=0.02)


def test_few_dimensions_and_many_give_a_walk_the_same_law():
    """Where inner products are drawn in place of vectors, means and spreads go on smoothly."""
    below, above = (measures.walks(30, size)[:, 0] for size in (512, 513))
    assert np.mean(below) == pytest.approx(np.mean(above), abs=0.01)
    assert np.std(below) == pytest.approx(np.std(above), rel=0.4)


def partners(one, other):
    """Return the partners of two lists of vectors."""
    products = one * other
    squares = np.sum(one**2, axis=1) * np.sum(other**2, axis=1)
    return measures.Partners.of(products.sum(axis=1), squares, products @ products.T)


def next_step(steps):
    onward = np.sum((steps[1:] * steps[:-1]) ** 2, axis=1)
    return measures.next_step(steps @ steps.T, onward)


def test_signs_are_what_coins_give():
    """Their law against coins that are tossed, for steps that go on and are large in few places."""
    size, rng = 1000, np.random.default_rng(3)
    scale = rng.gamma(2.0, size=size)
    one, other = scale * (rng.normal(size=(2, 9, size)) + rng.normal(size=(2, 1, size)))
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    coins = rng.choice([-1.0, 1.0], size=(4000, size))
    tossed = coins @ (one * other / lengths[:, None]).T
    drawn = partners(one, other).chance
    for statistic in (np.mean, lambda cosines, axis: np.max(np.abs(cosines), axis=axis)):
        expected, found = statistic(tossed, axis=1), statistic(drawn, axis=1)
        assert np.mean(found) == pytest.approx(np.mean(expected), abs=0.02)
        assert np.std(found) == pytest.approx(np.std(expected), rel=0.15)
    assert np.std(np.mean(drawn, axis=1)) > 2 / np.sqrt(9 * size)  # of random directions


@pytest.mark.parametrize("drift", [0.0, 1.0])
@pytest.mark.sweep
def test_nulls_are_honest(drift):
    """On unrelated paths p is below a tenth about one time in ten, also where each goes on."""
    small: dict[str, int] = {}
    for seed in range(40):
        rng = np.random.default_rng(seed)
        one, other = rng.normal(size=(2, 10, 40)) + drift * rng.normal(size=(2, 1, 40))
        grams, pair = (one @ one.T, other @ other.T), partners(one, other)
        found = {
            "order": measures.next_step_in_order(grams[0]),
            "angle": pair.angle(),
            "farthest": pair.farthest(),
            "procrustes": measures.procrustes(*grams),
            "entries": measures.entry_correlations(one, other)[1],
        }
        if not drift:
            found["next"] = next_step(one)
        for name, measured in found.items():
            small[name] = small.get(name, 0) + (measured.p < 0.1)
    assert all(1 <= count <= 9 for count in small.values()), small


def test_what_is_related_is_found():
    rng = np.random.default_rng(0)
    one = rng.normal(size=(20, 50)) + rng.normal(size=50)
    other = one + rng.normal(size=(20, 50))
    grams = one @ one.T, other @ other.T
    assert next_step(one).z > 10
    for found in (partners(one, other).angle(), partners(one, other).farthest()):
        assert found.p < 0.01
    for found in (measures.procrustes(*grams), measures.entry_correlations(one, other)[1]):
        assert found.p == pytest.approx(1 / 200)


def test_a_turning_path_is_more_like_its_neighbours_than_like_others():
    """Drift alone makes all steps alike, which an order does not change; a turn does."""
    angles = np.linspace(0, np.pi, 20)
    steps = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert measures.next_step_in_order(steps @ steps.T).z > 5
    straight = np.ones((20, 2)) + 0.1 * RNG.normal(size=(20, 2))
    assert measures.next_step_in_order(straight @ straight.T).p > 0.01


def test_principal_components_keep_all_distances():
    points = RNG.normal(size=(14, 60))
    coordinates = measures.factored(points @ points.T)
    apart = [scipy.spatial.distance.pdist(p) for p in (points, coordinates)]
    np.testing.assert_allclose(apart[0], apart[1], rtol=1e-10)
    values = np.linalg.svd(points - points.mean(axis=0), compute_uv=False) ** 2
    expected = values / values.sum()
    np.testing.assert_allclose(measures.shares(points @ points.T), expected, atol=1e-12)


# --- paths ----------------------------------------------------------------------------------------


def test_angles_are_those_of_the_weights_themselves(two):
    folders, (policy, reward) = two
    steps = np.diff(policy, axis=0), np.diff(reward, axis=0)
    unit = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in steps]
    direct = np.degrees(np.arccos(np.sum(unit[0] * unit[1], axis=1)))
    findings = analyse(folders)
    series = findings.whole.series
    np.testing.assert_allclose(series["angle"], direct, atol=1e-6)
    following = np.sum(unit[0][1:] * unit[0][:-1], axis=1)
    np.testing.assert_allclose(series["next_step"][0], following, atol=1e-9)
    pearson = [np.corrcoef(a, b)[0, 1] for a, b in zip(*steps, strict=True)]
    np.testing.assert_allclose(series["pearson"], pearson, atol=1e-9)
    disparity = scipy.spatial.procrustes(*steps)[2]
    assert findings.whole.between["procrustes"].value == pytest.approx(disparity, abs=1e-9)


def test_a_leaf_alone_is_what_its_own_path_would_be(two, tmp_path):
    folders, _ = two
    findings = analyse(folders)
    assert set(findings.layers) == {"table", "head.bias", "head.scale"}
    save(tmp_path / "alone", {"table": walk(1)["table"]})
    alone = analyse([tmp_path / "alone"])
    expected = findings.layers["table"].paths[0]
    for name, measured in alone.whole.paths[0].items():
        assert measured.value == pytest.approx(expected[name].value, rel=1e-9)
        assert measured.spread == pytest.approx(expected[name].spread, rel=1e-9)
    assert sum(of.weights for of in findings.layers.values()) == findings.whole.weights
    moved = sum(of.moved[0] for of in findings.layers.values())
    assert moved == pytest.approx(findings.whole.moved[0])


def test_pieces_make_no_difference(two, monkeypatch):
    folders, _ = two
    at_once = analyse(folders).as_json()
    monkeypatch.setattr(geometry, "_PIECE", 7 * 2 * MOMENTS)
    np.testing.assert_allclose(numbers(analyse(folders).as_json()), numbers(at_once), atol=1e-9)


def numbers(value):
    """Return all numbers of a JSON value, in their order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [number for inner in value for number in numbers(inner)]
    return [value] if isinstance(value, float | int) else []


def test_the_order_of_leaves_makes_no_difference(two, tmp_path):
    folders, _ = two
    for folder in folders:
        (turned := tmp_path / "turned" / folder.name).mkdir(parents=True)
        for file in folder.iterdir():
            with np.load(file) as held:
                np.savez(turned / file.name, **{name: held[name] for name in held.files[::-1]})
    found = analyse([tmp_path / "turned" / folder.name for folder in folders])
    assert found.whole == analyse(folders).whole


def test_order_is_that_of_numbers(tmp_path):
    save(tmp_path / "path", walk(1), range(0, 10 * MOMENTS, 10))
    assert analyse([tmp_path / "path"]).numbers == tuple(range(0, 10 * MOMENTS, 10))
    with np.load(tmp_path / "path" / "110.npz") as last:
        np.testing.assert_array_equal(last["table"], walk(1)["table"][-1])


def test_compressed_files_are_read_alike(tmp_path):
    save(tmp_path / "plain", walk(1))
    (tmp_path / "packed").mkdir()
    for file in (tmp_path / "plain").iterdir():
        with np.load(file) as held:
            np.savez_compressed(tmp_path / "packed" / f"step-{file.name}", **held)
    assert analyse([tmp_path / "packed"]).whole == analyse([tmp_path / "plain"]).whole


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_adapters_are_read_as_safetensors_are(tmp_path, dtype):
    tree = {"base.lora_A": walk(1)["table"], "base.lora_B": walk(1)["head"]["bias"]}
    kind = np.dtype(jax.numpy.dtype(dtype))
    rounded = {name: leaf.astype(kind) for name, leaf in tree.items()}
    for moment in range(MOMENTS):
        own = {name: np.ascontiguousarray(leaf[moment]) for name, leaf in rounded.items()}
        (folder := tmp_path / "run" / f"checkpoint-{100 * moment}").mkdir(parents=True)
        save_file(own, folder / "adapter_model.safetensors", {"format": "pt"})
    save(tmp_path / "npz", {n: leaf.astype(np.float32) for n, leaf in rounded.items()})
    found = analyse([tmp_path / "run"])
    assert found.numbers[:3] == (0, 100, 200)
    assert found.whole == analyse([tmp_path / "npz"]).whole


def test_two_paths_are_compared_on_what_both_have(tmp_path):
    policy, reward = walk(1), walk(2)
    reward["value_head"] = reward.pop("head")["bias"]
    policy["counter"] = np.arange(MOMENTS)
    policy["frozen"] = reward["frozen"] = np.ones((MOMENTS, 5), np.float32)
    save(tmp_path / "policy", policy)
    save(tmp_path / "reward", reward, range(2, MOMENTS + 2))
    findings = analyse([tmp_path / "policy", tmp_path / "reward"])
    assert findings.numbers == tuple(range(2, MOMENTS))
    assert findings.left_out == ("head.bias", "head.scale", "value_head")
    assert findings.still == ("frozen",)
    assert set(findings.layers) == {"table"}
    assert findings.whole.weights == 40 * 30 + 5


def test_a_path_and_its_turned_copy(tmp_path):
    """The same steps in other directions: angles say unrelated, Procrustes says the same."""
    steps = (
        np.random.default_rng(4).normal(size=(MOMENTS, 60)) * np.linspace(1, 3, MOMENTS)[:, None]
    )
    turn = scipy.stats.ortho_group.rvs(60, random_state=5)
    save(tmp_path / "one", {"w": np.cumsum(steps, axis=0)})
    save(tmp_path / "other", {"w": np.cumsum(steps, axis=0) @ turn})
    between = analyse([tmp_path / "one", tmp_path / "other"]).whole.between
    assert between["procrustes"].value < 1e-9
    assert between["procrustes"].p == pytest.approx(1 / 200)
    assert between["angle"].p > 0.01


def broken(folder, number):
    (folder / f"{number}.npz").write_bytes(b"PK\x03\x04 no archive")


def cut(folder, number):
    file = folder / f"{number}.npz"
    file.write_bytes(file.read_bytes()[:-40])


def flipped(folder, number):
    content = bytearray((file := folder / f"{number}.npz").read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


def objects(folder, number):
    np.savez(folder / f"{number}.npz", table=np.array([{}], dtype=object))


def without_a_leaf(folder, number):
    np.savez(folder / f"{number}.npz", table=walk(1)["table"][0])


def of_another_shape(folder, number):
    leaves = dict(treefile.named(jax.tree.map(lambda leaf: leaf[0], walk(1))))
    np.savez(folder / f"{number}.npz", **leaves | {"table": np.zeros((30, 40))})


def without_floats(folder, number):
    np.savez(folder / f"{number}.npz", steps=np.arange(3))


def by_columns(folder, number):
    leaves = dict(treefile.named(jax.tree.map(lambda leaf: leaf[0], walk(1))))
    np.savez(folder / f"{number}.npz", **leaves | {"table": np.asfortranarray(leaves["table"])})


def not_finite(folder, number):
    leaves = dict(treefile.named(jax.tree.map(lambda leaf: leaf[0], walk(1))))
    np.savez(folder / f"{number}.npz", **leaves | {"head.bias": np.full(50, np.nan)})


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (broken, r"5\.npz is damaged"),
        (cut, r"5\.npz is damaged"),
        (flipped, r"5\.npz is damaged"),
        (objects, r"5\.npz has no weights"),
        (without_floats, r"5\.npz has no weights"),
        (without_a_leaf, r"5\.npz and 0\.npz do not have the same leaves: see head\.bias"),
        (of_another_shape, r"5\.npz: table is of shape \[30, 40\], and \[40, 30\]"),
        (by_columns, r"5\.npz: table is stored by columns"),
        (not_finite, r"5\.npz: head\.bias has weights that are not finite"),
    ],
)
def test_a_bad_checkpoint_is_refused_in_one_line(two, spoil, says, capsys):
    folders, _ = two
    spoil(folders[0], 5)
    with refusal(says):
        analyse(folders[:1])
    assert main(["weights", str(folders[0]), "--out", str(folders[0] / "out")]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not (folders[0] / "out").exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "has no .safetensors file"),
        (b"", "is damaged"),
        (b"\xff" * 8, "is damaged"),
        ((2).to_bytes(8, "little") + b"[]", "is damaged"),
        (
            (len(h := b'{"w":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}')).to_bytes(
                8, "little"
            )
            + h,
            "it ends too early",
        ),
    ],
)
def test_a_bad_adapter_is_refused_in_one_line(tmp_path, content, says):
    for moment in range(3):
        (folder := tmp_path / f"checkpoint-{moment}").mkdir()
        save_file({"w": np.zeros(9, np.float32)}, folder / "adapter_model.safetensors")
    if content is None:
        (folder / "adapter_model.safetensors").unlink()
    else:
        (folder / "adapter_model.safetensors").write_bytes(content)
    with refusal(says):
        analyse([tmp_path])


def test_other_wrong_requests(two, tmp_path):
    folders, _ = two
    with refusal("is no folder"):
        analyse([tmp_path / "nowhere"])
    with refusal("3 folders"):
        analyse([*folders, folders[0]])
    (tmp_path / "empty").mkdir()
    with refusal("has 0 checkpoints"):
        analyse([tmp_path / "empty"])
    save(tmp_path / "still", jax.tree.map(np.zeros_like, walk(1)))
    with refusal("nothing moves"):
        analyse([tmp_path / "still"])
    save(tmp_path / "other", {"else": walk(1)["table"]})
    with refusal("no leaf of one name and shape"):
        analyse([folders[0], tmp_path / "other"])
    save(tmp_path / "later", walk(1), range(100, 100 + MOMENTS))
    with refusal("0 checkpoints of the same number"):
        analyse([folders[0], tmp_path / "later"])
    (folders[0] / "step-5.npz").write_bytes((folders[0] / "5.npz").read_bytes())
    with refusal("the same number"):
        analyse(folders)
    (folders[0] / "step-5.npz").rename(folders[0] / "final.npz")
    with refusal("has no number"):
        analyse(folders)
    (folders[1] / "checkpoint-1").mkdir()
    with refusal("keep them apart"):
        analyse(folders[1:])


def test_archives_with_trailing_members_are_read(two):
    """Names as `treefile` writes them, beside arrays that are no weights."""
    folders, _ = two
    expected = analyse(folders[:1]).whole
    for file in folders[0].glob("*.npz"):
        with zipfile.ZipFile(file, "a") as archive, archive.open("key.npy", "w") as member:
            np.lib.format.write_array(member, np.arange(2, dtype=np.uint32))
    assert analyse(folders[:1]).whole == expected


@pytest.mark.sweep
def test_a_policy_and_its_refined_reward_model(tmp_path):
    """`discovery train` writes paths of both: from the start on, after each stretch of rounds."""
    changes = {
        "task.settings": {"vocabulary": 10, "horizon": 3, "architecture": "positions"},
        "data.rows": 32,
        "training.hyper": {"updates": 8, "batch": 4},
        "training.regime": {
            "prompts": 4,
            "reuse": 1,
            "grader": "learnt",
            "model": {"kind": "policy", "updates": 2, "batch": 8},
            "refine": {"every": 1, "prompts": 4, "updates": 2, "batch": 4},
        },
    }
    outcome = algorithms.carry_out(
        *algorithms.described("rloo", "token_bandit", changes), out=tmp_path
    )
    findings = analyse([tmp_path / "policy", tmp_path / "reward"])
    assert findings.numbers == tuple(range(8))  # a refinement follows the agent before it
    with np.load(tmp_path / "policy" / "8.npz") as last:
        np.testing.assert_array_equal(last[""], outcome.params)


# --- the command and its picture ------------------------------------------------------------------


def test_the_command_prints_and_writes_the_same_numbers(two, tmp_path, capsys):
    folders, _ = two
    out = tmp_path / "out"
    assert main(["weights", *map(str, folders), "--out", str(out), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((out / "results.json").read_text())
    assert (out / "weights.png").stat().st_size > 20_000
    assert printed["whole"]["weights"] == 1251
    assert set(printed["layers"]) == {"table", "head.bias", "head.scale"}
    for measured in (*printed["whole"]["paths"][0].values(), *printed["whole"]["between"].values()):
        assert measured.keys() == {"value", "null", "spread", "z", "p", "by"}
        assert 0 <= measured["p"] <= 1
    assert main(["weights", *map(str, folders), "--no-layers"]) == 0
    text = capsys.readouterr().out
    assert "12 checkpoints, 0 to 11, of 1,251 weights" in text
    assert "Procrustes" in text
    assert "By layer" not in text


def test_the_picture_marks_start_and_end(two, tmp_path, monkeypatch):
    """And shows what it is given: other paths make another picture."""
    folders, _ = two
    findings = analyse(folders)
    draw(findings, tmp_path / "a.png", caption="one")
    draw(analyse(folders[::-1]), tmp_path / "b.png", caption="one")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("view", ["tsne", "umap"])
def test_a_view_whose_package_is_missing_is_refused(view, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with refusal(r"preference-discovery\[weights\]"):
        picture.check(view)
    with refusal("unknown view"):
        picture.check("isomap")


@pytest.mark.parametrize("view", ["tsne", "umap"])
def test_a_view_shows_every_moment(view):
    pytest.importorskip("sklearn" if view == "tsne" else "umap")
    points = np.cumsum(RNG.normal(size=(40, 30)), axis=0)
    places = picture.VIEWS[view](points @ points.T)
    assert places.shape == (40, 2)
    assert np.all(np.ptp(places, axis=0) > 0)


CHILD = """
import resource, sys
from pathlib import Path
import numpy as np
from discovery.weights import analyse, measures

def peak():
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

measures.walks(4, 9)  # what scipy loads when it is first asked
before = peak()
found = analyse([Path(sys.argv[1])])
print(found.whole.weights, peak() - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize("leaves", [1, 50])
def test_memory_is_that_of_three_checkpoints_and_50_mb(tmp_path, leaves):
    moments, weights = 100, 1_000_000
    rng = np.random.default_rng(0)
    tree = {str(leaf): np.zeros(weights // leaves, np.float32) for leaf in range(leaves)}
    for moment in range(moments):
        for leaf in tree.values():
            leaf += rng.standard_normal(leaf.shape, np.float32)
        treefile.replace(tmp_path / f"{moment}.npz", treefile.pack(tree))
    command = [sys.executable, "-c", CHILD, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    size, added = map(int, done.stdout.split())
    assert size == weights
    assert added <= 3 * weights * 4 + 50_000_000
