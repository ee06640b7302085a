"""Values and gradients of the hand-made objectives against the trainers of TRL.

TRL computes these losses inside its trainers; an instance without a model is made, the few
attributes the loss reads are set, and random log-probabilities go in. That is private
ground: where another release than the one in constraints.txt moves it, these tests skip.
"""

import dataclasses
import importlib
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mpo

torch = pytest.importorskip("torch", reason="needs the [llm] extra")
trl = pytest.importorskip("trl", reason="needs the [llm] extra")

pytestmark = [pytest.mark.llm, pytest.mark.usefixtures("x64")]
PAIRS, STEPS = 8, 7
CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"
PINNED = f"trl=={trl.__version__}" in CONSTRAINTS.read_text().splitlines()


def _batch(seed, per_step=1.0):
    rng = np.random.default_rng(seed)
    length = rng.integers(1, STEPS + 1, (PAIRS, 2))
    logp = -(0.05 + rng.gamma(2.0, per_step, (PAIRS, 2))) * length
    ref_logp = logp + rng.normal(0, 2, logp.shape)
    reward = rng.normal(size=logp.shape)
    return SimpleNamespace(logp=logp, length=length, ref_logp=ref_logp, reward=reward)


def _ours(objective, batch):
    c = mpo.Comparison(**{name: jnp.asarray(value) for name, value in vars(batch).items()})

    def mean(logp):
        seen, _ = objective.paired(dataclasses.replace(c, logp=logp))
        return jnp.mean(jax.vmap(objective)(seen))

    return jax.value_and_grad(mean)(c.logp)


def _theirs(loss, batch):
    logp = torch.tensor(batch.logp, requires_grad=True)
    value = loss(logp).mean()
    value.backward()
    return value.item(), logp.grad.numpy()


def _agree(objective, batch, loss, rtol=1e-9):
    (value, slope), (expected, expected_slope) = _ours(objective, batch), _theirs(loss, batch)
    np.testing.assert_allclose(value, expected, rtol=rtol)
    np.testing.assert_allclose(slope, expected_slope, rtol=10 * rtol, atol=rtol)


def _dpo_trainer(batch, loss_type, beta, label_smoothing=0.0):
    """Return the loss of TRL's DPOTrainer as a function of summed log-probabilities."""
    from trl.trainer.dpo_trainer import DPOTrainer

    same = lambda x: x  # noqa: E731
    trainer = DPOTrainer.__new__(DPOTrainer)
    trainer.__dict__.update(
        model=SimpleNamespace(training=False),
        accelerator=SimpleNamespace(device="cpu", gather=same, gather_for_metrics=same),
        precompute_ref_logps=True,
        loss_types=[loss_type],
        loss_weights=[1.0],
        beta=beta,
        label_smoothing=label_smoothing,
        f_divergence_type="reverse_kl",
        ld_alpha=None,
        use_weighting=False,
        aux_loss_enabled=False,
        args=SimpleNamespace(discopop_tau=0.2),
        _metrics={"train": defaultdict(list), "eval": defaultdict(list)},
        _total_train_tokens=0,
        _tp_size=1,
    )
    # Rows are the chosen responses, then the rejected; one prompt token, then the completion.
    rows = torch.tensor(batch.length.T.reshape(-1))
    mask = (torch.arange(STEPS + 1) <= rows[:, None]) & (torch.arange(STEPS + 1) > 0)
    zeros = torch.zeros(2 * PAIRS, STEPS, dtype=torch.float64)
    reference = torch.tensor(batch.ref_logp)

    def loss(logp):
        on_first = torch.nn.functional.pad(logp.T.reshape(-1, 1), (0, STEPS - 1))
        outputs = SimpleNamespace(
            log_probs=on_first, entropy=zeros, mean_logits=zeros, is_top1=zeros.bool()
        )
        inputs = {
            "input_ids": torch.zeros_like(mask, dtype=torch.long),
            "attention_mask": torch.ones_like(mask, dtype=torch.long),
            "completion_mask": mask.long(),
            "ref_chosen_logps": reference[:, 0],
            "ref_rejected_logps": reference[:, 1],
        }
        try:
            return trainer._compute_loss(lambda **_: outputs, inputs, return_outputs=False)
        except (AttributeError, TypeError) as error:
            if PINNED:
                raise
            pytest.skip(f"DPOTrainer of trl {trl.__version__} computes its loss elsewhere: {error}")

    return loss


def _experimental(name):
    load = importlib.import_module if PINNED else pytest.importorskip
    return load(f"trl.experimental.{name}")


def _cpo_loss(**settings):
    """Return the pair loss of TRL's CPOTrainer as a function of two columns of numbers."""
    module = _experimental("cpo.cpo_trainer")
    accelerator = SimpleNamespace(device="cpu")
    settings = {"label_smoothing": 0.0, "alpha": 0.0} | settings
    trainer = SimpleNamespace(accelerator=accelerator, **settings)
    return lambda columns: module.CPOTrainer.cpo_loss(trainer, columns[:, 0], columns[:, 1])[0]


over_seeds = pytest.mark.parametrize("seed", range(5))


@over_seeds
@pytest.mark.parametrize("beta", [0.1, 1.0])
def test_dpo(seed, beta):
    batch = _batch(seed)
    _agree(mpo.objective("dpo", beta=beta), batch, _dpo_trainer(batch, "sigmoid", beta))


@over_seeds
@pytest.mark.parametrize("beta", [0.1, 1.0])
def test_ipo_per_step_as_trl_normalises_it(seed, beta):
    batch = _batch(seed)
    objective = mpo.objective("ipo", beta=beta, length_normalise=True)
    _agree(objective, batch, _dpo_trainer(batch, "ipo", beta))


@over_seeds
@pytest.mark.parametrize(
    ("name", "loss_type", "settings"),
    [
        ("dpo_norm", "sigmoid_norm", {}),
        ("robust_dpo", "robust", {"label_smoothing": 0.2}),
        ("hinge", "hinge", {}),
        ("exo", "exo_pair", {"label_smoothing": 0.2}),
        ("discopop", "discopop", {"tau": 0.2}),
        ("nca", "nca_pair", {}),
        ("bco_pair", "bco_pair", {}),
        ("apo_zero", "apo_zero", {}),
        ("apo_down", "apo_down", {}),
        ("sppo", "sppo_hard", {}),
        ("aot", "aot", {}),
        ("aot_unpaired", "aot_unpaired", {}),
    ],
)
@pytest.mark.parametrize("beta", [0.1, 0.7])
@pytest.mark.sweep
def test_what_else_its_dpo_trainer_has(seed, name, loss_type, settings, beta):
    batch, smoothing = _batch(seed), settings.get("label_smoothing", 0.0)
    theirs = _dpo_trainer(batch, loss_type, beta, smoothing)
    # It takes ε, and what it takes the logarithm of, in single precision.
    _agree(mpo.objective(name, beta=beta, **settings), batch, theirs, 1e-6 if smoothing else 1e-9)


@over_seeds
def test_cpo(seed):
    """Its pair loss; it adds the likelihood of a token, of the whole batch."""
    batch = _batch(seed)
    pair, length = _cpo_loss(loss_type="sigmoid", beta=0.3), torch.tensor(batch.length)
    objective = mpo.objective("cpo", beta=0.3, alpha=0.7)
    _agree(objective, batch, lambda logp: pair(logp) - 0.7 * logp[:, 0] / length[:, 0])


@over_seeds
@pytest.mark.parametrize("alpha", [-0.25, 0.25, 0.5])
def test_alphapo(seed, alpha):
    batch = _batch(seed)
    settings = {"loss_type": "simpo", "beta": 2.0, "simpo_gamma": 0.5}
    pair, length = _cpo_loss(**settings, alpha=alpha), torch.tensor(batch.length)
    objective = mpo.objective("alphapo", beta=2.0, gamma=0.5, alpha=alpha)
    _agree(objective, batch, lambda logp: pair(logp / length))


@over_seeds
def test_ipo_of_summed_log_probabilities(seed):
    batch = _batch(seed)
    pair, reference = _cpo_loss(loss_type="ipo", beta=0.3), torch.tensor(batch.ref_logp)
    _agree(mpo.objective("ipo", beta=0.3), batch, lambda logp: pair(logp - reference))


@over_seeds
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_cdpo(seed, smoothing):
    batch = _batch(seed)
    pair = _cpo_loss(loss_type="sigmoid", beta=0.3, label_smoothing=smoothing)
    reference = torch.tensor(batch.ref_logp)
    objective = mpo.objective("cdpo", beta=0.3, label_smoothing=smoothing)
    _agree(objective, batch, lambda logp: pair(logp - reference))


@over_seeds
@pytest.mark.parametrize(("beta", "gamma"), [(2.0, 0.5), (0.7, 0.0), (10.0, 3.0)])
def test_simpo(seed, beta, gamma):
    batch = _batch(seed)
    pair, length = (
        _cpo_loss(loss_type="simpo", beta=beta, simpo_gamma=gamma),
        torch.tensor(batch.length),
    )
    objective = mpo.objective("simpo", beta=beta, gamma=gamma)
    _agree(objective, batch, lambda logp: pair(logp / length))


@over_seeds
@pytest.mark.parametrize("lam", [0.1, 1.0])
def test_orpo(seed, lam):
    """TRL's odds-ratio term, which it takes in single precision; the likelihood is ours to add."""
    module = _experimental("orpo.orpo_trainer")
    trainer = SimpleNamespace(beta=lam, accelerator=SimpleNamespace(device="cpu"))
    batch = _batch(seed)
    length = torch.tensor(batch.length)

    def loss(logp):
        mean = logp / length
        odds = module.ORPOTrainer.odds_ratio_loss(trainer, mean[:, 0], mean[:, 1])[0]
        return -mean[:, 0] - odds

    _agree(mpo.objective("orpo", lam=lam), batch, loss, rtol=1e-6)


@over_seeds
def test_reward_aware_objectives_from_losses_of_trl(seed):
    """Backward KL is cDPO with soft label σ(Δr), less its entropy; distilled DPO a scaled IPO."""
    batch = _batch(seed)
    reference = torch.tensor(batch.ref_logp)
    gap = torch.tensor(batch.reward[:, 0] - batch.reward[:, 1])
    soft = _cpo_loss(loss_type="sigmoid", beta=0.4, label_smoothing=torch.sigmoid(-gap))
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(
        gap, torch.sigmoid(gap), reduction="none"
    )
    backward = mpo.objective("rpo_bwd", beta=0.4)
    _agree(backward, batch, lambda logp: soft(logp - reference) - entropy)
    scaled = _cpo_loss(loss_type="ipo", beta=0.4 / (2 * gap))
    distilled = mpo.objective("distill_dpo", beta=0.4)
    _agree(distilled, batch, lambda logp: 0.4**2 * scaled(logp - reference))
