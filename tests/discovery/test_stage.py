"""A stage before the training: an SFT of the same data, from which DPO and its kin begin."""

import jax
import numpy as np
import pytest

import mpo
from discovery import config
from discovery.evidence import Store, evaluate, stage, tuning
from discovery.evidence.evaluation import Evaluation, run
from discovery.host.processes import all_devices
from discovery.search import situation, streams
from discovery.search.cohort import Cohort
from discovery.search.streams import Purpose
from mpo.errors import RequestError
from mpo.train import stacked
from tests.discovery.conftest import TINY

KEY = streams.key(Purpose.EVALUATION, 0)


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(tuning, "BOXES", (1.0,))
    monkeypatch.setattr(tuning, "SEEDS", 1)


def staged(**training):
    return config.changed(
        config.from_json(TINY),
        {f"training.{k}": v for k, v in {"start": "sft", **training}.items()},
    )


@pytest.mark.sweep
def test_losses_with_a_reference_begin_after_it_and_others_where_it_began():
    ground = stage.prepare(staged(), Purpose.EVALUATION, all_devices())
    plain = situation.prepare(config.from_json(TINY), Purpose.EVALUATION, all_devices())
    (agent,) = ground.stages
    still = mpo.train.hyper(updates=1, batch=8, optimizer="sgd", learning_rate=1e-30)
    for name, start in (("dpo", agent), ("orpo", None)):
        one = mpo.train.Algorithm(objective=mpo.objective(name), descent=still)
        found = Cohort(ground, 1).train(stacked([one], each=1), KEY[None]).params
        expected = start
        if start is None:
            expected = jax.tree.map(
                lambda leaf: leaf[0],
                Cohort(plain, 1).train(stacked([one], each=1), KEY[None]).params,
            )
        for own, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            np.testing.assert_array_equal(own[0], other)
    every = stage.prepare(staged(after_sft="all"), Purpose.EVALUATION, all_devices())
    assert every.begins(mpo.objective("orpo"), 0) is every.stages[0]


def test_the_agent_is_one_of_sft_at_its_tuned_rate_and_is_trained_once(monkeypatch):
    described = staged()
    ground = stage.prepare(described, Purpose.EVALUATION, all_devices())
    rate = stage.rate(described).learning_rate
    assert stage.described(described)["learning_rate"] == rate
    plain = situation.prepare(config.from_json(TINY), Purpose.EVALUATION, all_devices())
    one = mpo.paths.put(plain.algorithm(mpo.objective("sft")), "descent.learning_rate", rate)
    key = jax.random.fold_in(KEY, np.uint32(2**31))
    again = Cohort(plain, 1).train(stacked([one], each=1), key[None]).params
    np.testing.assert_allclose(again.kernels[0][0], ground.stages[0].kernels[0], rtol=1e-5)
    monkeypatch.setattr(tuning, "tune", None)  # nothing is tuned again
    same = stage.prepare(described, Purpose.EVALUATION, all_devices())
    np.testing.assert_array_equal(same.stages[0].kernels[0], ground.stages[0].kernels[0])


@pytest.mark.sweep
def test_dpo_earns_more_after_it_and_a_table_names_it(tmp_path):
    """From an untrained reference it learns little of how to walk."""
    plain = situation.prepare(config.from_json(TINY), Purpose.EVALUATION, all_devices())
    asked = tuning.contestants(["dpo"], staged(), {})
    fresh = evaluate(asked, plain, KEY, range(4), 32, action="mean")["dpo"]
    run(Evaluation(staged(), asked, 4, 32, None), tmp_path, lambda text: None)
    after = Store(tmp_path / "returns.csv").returns(["dpo"], range(4), "return by mean action")
    assert after["dpo"].mean() > fresh.mean()
    text = (tmp_path / "results.json").read_text()
    assert str(stage.rate(staged()).learning_rate) in text


def test_who_begins_after_a_stage_is_said_only_where_there_is_one():
    assert "after_sft" not in config.from_json(TINY).as_json()["training"]
    with pytest.raises(RequestError):
        staged(start="fresh", after_sft="all")
    with pytest.raises(RequestError):
        situation.check(staged(start="sft:nobody"))
    assert staged(start="sft:novice").training.before == "novice"
