"""The leaderboard: cells that are kept as they are done, tuned alike, and gaps that are shown."""

import dataclasses
import json

import jax
import numpy as np
import pytest

import mpo
from discovery.cli import main
from discovery.host.processes import all_devices
from discovery.leaderboard import board as boards
from discovery.leaderboard import making, page, standing
from discovery.leaderboard.board import from_values
from discovery.search import situation, streams
from discovery.search.cohort import Cohort
from discovery.search.streams import Purpose
from mpo.errors import RequestError
from mpo.train import stacked

TINY = """
[task]
name = "reach"
[data]
kind = "base"
rows = 32
[training.hyper]
updates = 12
batch = 8
learning_rate = 0.03
"""
LOSSES = ["orpo", "sft", "dpo", "awr"]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    preset = tmp_path_factory.mktemp("board") / "tiny.toml"
    preset.write_text(TINY)
    return from_values(
        {
            "losses": [
                *({"name": name, "group": "pairs"} for name in LOSSES),
                {"name": "later", "group": "pairs", "objective": "orpo", "after_sft": True},
            ],
            "faults": [
                {"name": "noisy", "about": "a", "data": {"kind": "noisy", "exact": True}},
                {"name": "quiet", "about": "b", "data": {"kind": "scarce"}, "quiet": True},
            ],
            "grounds": [
                {
                    "name": "reach", "about": "Reach", "preset": str(preset), "spread": -2.0,
                    "points": 4, "draws": 2, "agents": 2, "episodes": 4,
                }
            ],
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def measured(small, tmp_path_factory, datasets):
    out, said = tmp_path_factory.mktemp("measured"), list[str]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISCOVERY_CACHE", str(datasets))
        assert making.measure(small, out, said.append)
    return out, said


@pytest.mark.sweep
def test_every_cell_has_as_many_trainings_and_all_that_was_tried(small, measured):
    out, said = measured
    results, (ground,) = making.Results(out), small.grounds
    assert "sft: tuning" in said[1], "others begin from it"
    for loss in small.losses:
        for fault in small.faults:
            cell = results.cell(ground, loss, fault)
            assert cell is not None
            assert len(cell["trials"]) == 3 * 4
            assert sum("again" in trial for trial in cell["trials"]) == 4
            assert {*cell["best"]} == {"sampled", "mean"}
            tried = [trial["point"] for trial in cell["trials"]]
            for own in cell["best"].values():
                assert own["point"] in tried
                assert np.shape(own["return"])[0] == 2
                assert np.shape(own["return"])[1] in (2, 4)  # twice, where both chose one point
    about = results.column(ground, small.faults[0])
    assert about is not None
    assert [one["flipped"] for one in about["data"]] == [3, 3]
    assert len({one["fingerprint"] for one in about["data"]}) == 2


def test_a_cell_is_what_the_same_agents_earn_on_data_that_chose_nothing(small, measured):
    (ground,), fault = small.grounds, small.faults[0]
    cell = making.Results(measured[0]).cell(ground, small.losses[0], fault)
    assert cell is not None
    best = cell["best"]["mean"]
    described = ground.config(fault, range(2))
    where = situation.prepare(described, Purpose.EVALUATION, all_devices())
    one = mpo.paths.put_all(where.algorithm(mpo.objective("orpo")), best["point"])
    agents = np.shape(best["return"])[1]
    key = streams.key(Purpose.EVALUATION, 0)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, np.arange(agents, dtype=np.uint32))
    cohort = Cohort(where, ground.episodes)
    trained = cohort.trained(stacked([one], each=agents), keys)
    np.testing.assert_allclose(cohort.measure(trained), best["return"], rtol=1e-4)
    np.testing.assert_allclose(
        cohort.measure(trained, "mean"), best["return by mean action"], rtol=1e-4
    )


def test_it_goes_on_where_it_was_and_measures_anew_what_is_asked_otherwise(small, measured):
    out, _ = measured
    said: list[str] = []
    assert making.measure(small, out, said.append)
    assert said == []
    larger = dataclasses.replace(
        small, grounds=(dataclasses.replace(small.grounds[0], episodes=5),)
    )
    assert not making.measure(larger, out, said.append, minutes=0.0)
    assert making.Results(out).cell(larger.grounds[0], larger.losses[0], larger.faults[0]) is None
    assert making.Results(out).cell(small.grounds[0], small.losses[0], small.faults[0]) is not None


def test_standings_are_ranks_shares_and_comparisons_paired_by_draw(small, measured):
    results, (ground,) = making.Results(measured[0]), small.grounds
    assert standing.actions(results, small, ground) == ("mean", "sampled")
    found = standing.column(results, ground, small.faults[1], small.losses, "mean")
    assert [own.rank for own in found.values()] == [1, 2, 3, 4, 5]
    means = [own.estimate.mean for own in found.values()]
    assert means == sorted(means, reverse=True)
    assert found["orpo"].gap is None
    for name, own in found.items():
        assert own.estimate.unit == "datasets"
        if name != "orpo":
            assert own.gap is not None
            both = min(own.values.shape[1], found["orpo"].values.shape[1])
            gap = own.values[:, :both].mean() - found["orpo"].values[:, :both].mean()
            np.testing.assert_allclose(own.gap.mean, gap, rtol=1e-6, atol=1e-9)
            assert own.p >= own.gap.p


@pytest.mark.sweep
def test_the_page_shows_gaps_as_gaps(small, measured):
    results, (ground,) = making.Results(measured[0]), small.grounds
    whole = page.page(small, results)
    assert whole.finished
    more = boards.Loss(name="simpo", group="pairs")
    wider = dataclasses.replace(small, losses=(*small.losses, more))
    shown = page.page(wider, results)
    assert not shown.finished
    assert "simpo" not in shown.markdown()
    one = json.loads((measured[0] / "cells" / "reach" / "orpo.json").read_text())
    results.keep(ground, "simpo", small.faults[0], {
        **one["noisy"], "asked": making.asked(ground, more, small.faults[0]),
    })  # fmt: skip
    rows = [
        line for line in page.page(wider, results).markdown().splitlines() if "| simpo |" in line
    ]
    assert len(rows) == 2
    assert all(row.endswith(f"| {page.NOT_MEASURED} |") for row in rows)
    assert (measured[0] / "figures" / "reach.png").stat().st_size > 10_000


@pytest.mark.slow
def test_the_board_that_ships_is_of_losses_and_data_that_there_are():
    whole = boards.board()
    for loss in whole.losses:
        mpo.find(loss.source)
    for ground in whole.grounds:
        for fault in whole.of(ground)[1]:
            situation.check(ground.config(fault, range(1)))
    assert [one.name for one in whole.chosen((), ("gce",), ()).losses] == ["gce"]
    with pytest.raises(RequestError, match="gce"):
        whole.chosen((), ("gec",), ())


def test_the_command_measures_a_cell_and_writes_the_page(tmp_path, capsys, monkeypatch, small):
    monkeypatch.setattr(boards, "board", lambda: small)
    arguments = ["leaderboard", "--out", str(tmp_path), "--loss", "sft", "--fault", "noisy"]
    assert main(arguments) == 0
    assert "| sft |" in (tmp_path / "leaderboard.md").read_text()
    assert "learning_rate" in (tmp_path / "details.md").read_text()
    assert main([*arguments, "--draws", "1"]) == 2
    capsys.readouterr()
