"""Every objective of `mpo`, hand-made or shipped, trains a language model by both trainers."""

import pytest

torch = pytest.importorskip("torch", reason="needs the [llm] extra")
datasets = pytest.importorskip("datasets", reason="needs the [llm] extra")
trl = pytest.importorskip("trl", reason="needs the [llm] extra")

import mpo  # noqa: E402
from llm_transfer import torch_loss  # noqa: E402
from llm_transfer.trainers import MPOTrainer, PreferenceTrainer  # noqa: E402
from llm_transfer.trainers.pair_loss import Pairs, losses  # noqa: E402
from mpo.errors import RequestError  # noqa: E402

pytestmark = [
    pytest.mark.llm,
    pytest.mark.filterwarnings("ignore:.(is_)?gradient_checkpointing. is deprecated:FutureWarning"),
]


def _temporal():
    """Return an objective whose ψ and φ⁻¹ change as training goes on."""
    import jax
    import jax.numpy as jnp

    parts = {role: mpo.potential("basis", role=role, temporal=True) for role in ("psi", "phi_inv")}
    flat, rebuild = mpo.ravel(mpo.objective("mpo", **parts))
    return rebuild(flat + 0.3 * jax.random.normal(jax.random.key(0), flat.shape, jnp.float32))


WRITTEN = ("reinforce", "ppo", "grpo")  # for responses written in training
WHOLE = ("aot", "aot_unpaired")  # of a minibatch, which have no formula of one pair
NAMES = (*mpo.OBJECTIVES, *mpo.shipped())
OBJECTIVES = {name: name for name in NAMES if name not in (*WRITTEN, *WHOLE)} | {
    "temporal": _temporal
}


OF_EVERY_COMMIT = ("dpo", "mpo", "rpo_bwd", "found/hopper-shuffled", "temporal")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in OF_EVERY_COMMIT else pytest.mark.slow)
        for name in OBJECTIVES
    ],
)
def test_both_trainers_give_the_same_finite_weights(folder, words, rows, settings, name):
    from transformers import AutoModelForCausalLM

    made = OBJECTIVES[name]
    loss = torch_loss(made if isinstance(made, str) else made())
    assert loss.temporal == (name == "ta_mpo" or name.endswith("temporal"))
    rated = [{**row, "chosen_reward": 1.5, "rejected_reward": 0.5} for row in rows[:12]]
    load = AutoModelForCausalLM.from_pretrained
    short = {"per_device_train_batch_size": 4, "max_grad_norm": 1.0, "learning_rate": 0.1}
    plain = PreferenceTrainer(
        load(folder),
        loss,
        settings(**short),
        train_dataset=rated,
        processing_class=words,
        ref_model=load(folder) if loss.needs_reference else None,
    )
    on_trl = MPOTrainer(
        load(folder),
        loss=loss,
        args=settings(trl.DPOConfig, **short),
        train_dataset=datasets.Dataset.from_list(rated),
        processing_class=words,
    )
    before = load(folder).state_dict()
    for trainer in (plain, on_trl):
        trainer.train()
    weights, same = (t.model.state_dict() for t in (plain, on_trl))
    assert max((weights[k] - before[k]).abs().max() for k in weights) > 1e-3
    for key, value in weights.items():
        assert torch.isfinite(value).all()
        torch.testing.assert_close(value, same[key], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.sweep
def test_pairs_that_say_nothing_cost_nothing_and_pull_nowhere(name):
    """Nothing said, everything masked, impossible or not a number; and extremes that count."""
    made = OBJECTIVES[name]
    loss = torch_loss(made if isinstance(made, str) else made())
    logp = torch.tensor(
        [[-3.0, -9.0], [0.0, -4.0], [-torch.inf, -4.0], [-4.0, torch.nan], [0.0, 0.0],
         [-2e4, -1e-6], [-7.0, -7.0]]
    ).requires_grad_()  # fmt: skip
    length = torch.tensor([[3, 4], [0, 4], [4, 4], [4, 4], [0, 0], [512, 1], [5, 5]])
    others = {"ref_logp": torch.full((7, 2), -5.0), "reward": torch.tensor([[1.0, 0.0]] * 7)}
    each = losses(loss, Pairs(logp, length, **others), 0.5)
    slope = torch.autograd.grad(each.sum(), logp)[0]
    nothing = [1, 2, 3, 4]
    assert torch.isfinite(each).all()
    assert torch.isfinite(slope).all()
    assert not each[nothing].any()
    assert not slope[nothing].any()
    assert slope[[0, 6]].any(-1).all()


@pytest.mark.parametrize("name", WRITTEN)
def test_an_objective_for_written_responses_is_refused_for_pairs(name):
    loss = torch_loss(name)
    pairs = Pairs(torch.full((2, 2), -3.0), torch.ones(2, 2), reward=torch.ones(2, 2))
    with pytest.raises(RequestError, match=f"{name}.*written in training"):
        losses(loss, pairs, 0.5)
