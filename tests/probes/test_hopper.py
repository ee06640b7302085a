"""Known answers of the inner loop: what imitation, ORPO and DPO do on Hopper."""

import numpy as np
import pytest

import mpo
from discovery import config, situation, streams
from discovery.evaluation import Contestant, evaluate
from discovery.processes import all_devices
from discovery.streams import Purpose

CLOSE = 0.92
SEEDS = 3
EPISODES = 32
SETTINGS = {"data.kind": "base", "training.hyper.updates": 2_000}

# One worker runs them all, so that the agents are trained once.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("hopper probes")]


@pytest.fixture(scope="module")
def known():
    """Return what the expert earns in the data, and the returns of agents trained on it."""
    described = config.changed(config.preset("hopper-small"), SETTINGS)
    ground = situation.prepare(described, Purpose.TUNING, all_devices())
    objectives = {
        "sft": mpo.objective("sft"),
        "orpo": mpo.objective("orpo", lam=0.3),
        "dpo": mpo.objective("dpo"),
    }
    returns = evaluate(
        {name: Contestant(one) for name, one in objectives.items()},
        ground,
        streams.key(Purpose.TUNING, described.seed),
        range(SEEDS),
        EPISODES,
    )
    expert = situation.earned(described, Purpose.TUNING)["expert"]
    return expert, {name: float(np.mean(own)) for name, own in returns.items()}


# Tuned, SFT and ORPO both come to 98 % of the expert (docs/status.md). These few agents have a
# standard error of 1 to 2 %, and other compiler flags, which round otherwise, have given 94 % here.


def test_imitation_recovers_the_expert(known):
    expert, earned = known
    assert earned["sft"] >= CLOSE * expert, (earned, expert)


def test_orpo_on_base_data_is_as_good_as_the_expert(known):
    expert, earned = known
    assert earned["orpo"] >= CLOSE * expert, (earned, expert)


def test_dpo_collapses(known):
    expert, earned = known
    assert earned["dpo"] < 0.2 * expert, (earned, expert)
