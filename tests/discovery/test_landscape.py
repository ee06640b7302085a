"""Landscapes: one column for each objective and moment, and dots where a training went."""

import dataclasses
import json

import numpy as np
import pytest

import mpo
from discovery.cli import main
from discovery.evidence import trajectory
from discovery.evidence.landscape import MOMENTS, Grid, draw, landscape, panels
from discovery.evidence.trajectory import Trajectory
from mpo.potentials import BasisPotential

EARLY, LATE = (BasisPotential.of({"log": weight}) for weight in (0.5, 2.0))
CHANGING = mpo.objective(
    "mpo",
    psi=dataclasses.replace(EARLY, weight_end=LATE.weight),
    phi_inv=BasisPotential.of({"logit": 1.0}),
)
COARSE = Grid(points=5)
T = np.linspace(0, 1, 16, dtype=np.float32)
WENT = Trajectory(
    T,
    np.repeat(-3 + T[:, None], 30, axis=1) + np.linspace(0, 0.1, 30, dtype=np.float32),
    np.repeat(-3 - T[:, None], 30, axis=1) - np.linspace(0, 0.1, 30, dtype=np.float32),
)


def test_what_changes_with_progress_has_a_column_for_each_moment():
    objectives = {"orpo": mpo.objective("orpo"), "found": CHANGING}
    drawn = {panel.title: panel.values for panel in panels(objectives, COARSE)}
    assert list(drawn) == ["orpo", "found at 0%", "found at 50%", "found at 100%"]
    pull = [drawn[f"found at {moment:.0%}"][..., 0] for moment in MOMENTS]
    np.testing.assert_allclose(pull[2] - pull[0], 1.5, rtol=1e-5)  # ψ' = 0.5 + 1.5 t
    np.testing.assert_allclose(pull[1] - pull[0], 0.75, rtol=1e-5)
    np.testing.assert_array_equal(drawn["found at 100%"], landscape(CHANGING, COARSE, 1.0))


def test_each_moment_of_a_trajectory_is_in_one_column():
    columns = list(panels({"found": CHANGING}, COARSE, trajectories={"found": WENT}))
    parts = [column.visited for column in columns]
    np.testing.assert_array_equal(np.concatenate([part.progress for part in parts]), T)
    assert [len(part.progress) for part in parts] == [4, 8, 4]
    assert parts[2].chosen.min() > parts[0].chosen.max()
    (still,) = panels({"orpo": mpo.objective("orpo")}, COARSE, trajectories={"orpo": WENT})
    assert still.visited is WENT


def test_the_grid_is_where_training_went():
    grid = Grid.around([WENT], points=7)
    both = np.concatenate([WENT.chosen, WENT.rejected])
    assert grid.points == 7
    assert grid.low < both.min() < both.max() < grid.high
    assert grid.high - grid.low < 1.3 * np.ptp(both)
    assert Grid.around([]) == Grid()


def test_dots_are_drawn(tmp_path):
    from matplotlib.image import imread

    objectives = {"orpo": mpo.objective("orpo")}
    pictures = []
    for name, seen in (("with", {"orpo": WENT}), ("without", {})):
        values = draw(objectives, Grid(points=11), tmp_path / f"{name}.png", trajectories=seen)
        pictures.append(imread(tmp_path / f"{name}.png"))
    assert values["orpo"].shape == (11, 11, 2)
    assert pictures[0].shape != pictures[1].shape  # a scale for progress below


@pytest.mark.sweep
def test_a_run_is_drawn_beside_orpo_with_its_own_training(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mpo.save(CHANGING, tmp_path / "run" / "objective")
    WENT.save(tmp_path / "run" / trajectory.FILE)
    assert main(["landscape", "./run", "--points", "5", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert list(printed["largest"]) == ["orpo", *(f"./run at {m:.0%}" for m in MOMENTS)]
    saved = np.load("landscapes/landscape.npz")
    grid = Grid.around([WENT], 5)
    np.testing.assert_allclose(saved["log_pi"], grid.axis)
    assert main(["landscape", "./run", "sft", "--points", "5", "--progress", "0.5", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert list(printed["largest"]) == ["./run", "sft"]


@pytest.mark.parametrize("given", ["nowhere.npz", "noise.npz"])
def test_a_trajectory_that_is_none_is_a_wrong_request(given, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "noise.npz").write_text("noise")
    assert main(["landscape", "orpo", "--points", "5", "--trajectory", given]) == 2
    assert "holds no trajectory" in capsys.readouterr().err
    assert not (tmp_path / "landscapes").exists()
