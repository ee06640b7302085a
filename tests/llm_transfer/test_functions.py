"""Losses of tensors, as functions of JAX arrays: the same values, slopes and trainings."""

import dataclasses

import jax
import numpy as np
import pytest

import discovery
import mpo
from discovery.judging import stranger
from mpo.errors import RequestError

pytestmark = [pytest.mark.llm, pytest.mark.usefixtures("registries_as_they_were")]

DPO = """
import torch.nn.functional as F

def loss(logp, length, ref_logp=None, reward=None):
    margin = (logp[0] - ref_logp[0]) - (logp[1] - ref_logp[1])
    return -F.logsigmoid(0.1 * margin)
"""
GCE = """
import torch

def loss(logp, length):
    chosen = logp[0] / torch.clamp(length[0], min=1)
    return (1 - torch.exp(0.7 * chosen)) / 0.7
"""


def found(tmp_path, text, name="with_torch"):
    path = tmp_path / f"{name}.py"
    path.write_text(text)
    return stranger.find(str(path))


def test_a_loss_of_tensors_is_the_loss_of_arrays(tmp_path):
    one = found(tmp_path, DPO)
    assert one.reads == ("ref_logp",)
    theirs, ours = mpo.objective(one.name), mpo.objective("dpo", beta=0.1)
    several = dataclasses.replace(stranger.battery(), reward=None)
    for mine, its in zip(
        stranger._values(ours, several), stranger._values(theirs, several), strict=True
    ):
        np.testing.assert_allclose(its, mine, rtol=2e-5, atol=1e-6)


@pytest.mark.sweep
def test_an_agent_trained_by_it_is_the_same(tmp_path):
    described = discovery.describe(
        "quick",
        {
            "task.name": "reach",
            "task.settings": {},
            "training.start": "fresh",
            "data.rows": 32,
            "training.hyper.updates": 12,
        },
    )
    ground = discovery.prepare(described)
    theirs, _ = discovery.train(mpo.objective(found(tmp_path, GCE).name), ground)
    ours, _ = discovery.train(mpo.objective("gce", q=0.7), ground)
    for one, other in zip(jax.tree.leaves(theirs), jax.tree.leaves(ours), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("return logp", "shape"),
        ("return torch.log(torch.sigmoid(logp[0]))", "finite"),
        ("return logp[0] if logp[0] > 0 else logp[1]", "differentiate"),
        ("return length[0] * 1.0", "does not depend"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_in_a_line(body, says, tmp_path):
    with pytest.raises(RequestError, match=says) as refused:
        found(tmp_path, f"import torch\n\ndef loss(logp, length):\n    {body}\n")
    assert "\n" not in str(refused.value)
