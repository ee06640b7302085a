"""Every objective: by hand, by the identities that tie it to others, and under jit and vmap."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_expit, logsumexp, softmax

import mpo
from mpo.potentials import BasisPotential, Log, Logit, Potential

NAMES = tuple(mpo.OBJECTIVES)
seeds = st.integers(0, 2**32 - 1)
pytestmark = pytest.mark.usefixtures("x64")
over_names = pytest.mark.parametrize("name", NAMES)


def _comparison(seed, k=2, batch=(), scale=3.0, dtype=np.float64):
    """Responses of 1 to 60 steps whose per-step log-probabilities are around -scale."""
    rng = np.random.default_rng(seed)
    length = rng.integers(1, 60, (*batch, k))
    logp = -rng.gamma(2.0, scale / 2, (*batch, k)) * length - 0.01
    return mpo.Comparison(
        logp=jnp.asarray(logp.astype(dtype)),
        length=jnp.asarray(length),
        ref_logp=jnp.asarray((logp + rng.normal(0, 2, logp.shape)).astype(dtype)),
        reward=jnp.asarray(rng.normal(0, 1, logp.shape).astype(dtype)),
        sampled_logp=jnp.asarray((logp + rng.normal(0, 0.3, logp.shape)).astype(dtype)),
        credit=jnp.asarray(rng.normal(0, 1, logp.shape).astype(dtype)),
    )


_loss = jax.jit(lambda objective, c, progress=0.0: objective(c, progress))
_slope = jax.jit(
    jax.grad(lambda logp, objective, c: objective(dataclasses.replace(c, logp=logp)))
)  # fmt: skip


def _gradient(objective, c):
    return _slope(c.logp, objective, c)


# A comparison whose numbers can be followed with a pencil.
PAIR = {
    "logp": [-4.0, -9.0],
    "length": [2, 3],
    "ref_logp": [-5.0, -8.0],
    "reward": [1.5, 0.5],
    "sampled_logp": [-4.1, -8.0],
    "credit": [2.0, -1.0],
}
DELTA = (-4.0 + 5.0) - (-9.0 + 8.0)  # log-ratio margin: 2
ODDS = [lp - np.log1p(-np.exp(lp)) for lp in (-2.0, -3.0)]  # of the per-step means
LOGISTIC = log_expit(0.5 * DELTA)
BY_HAND: dict[str, tuple[dict[str, Any], Any]] = {
    "gce": ({"q": 0.5}, (1 - np.exp(-2.0 / 2)) / 0.5),
    "weighted_sft": ({"rho": 0.25}, (2.0 + 0.25 * 3.0) / 1.25),
    "alphapo": (
        {"beta": 2.0, "gamma": 0.5, "alpha": 0.5},
        -log_expit(2.0 * (np.exp(1.5) - np.exp(1.0)) / 0.5 - 0.5),
    ),
    "cpo": ({"beta": 0.5, "alpha": 0.7}, 0.7 * 2.0 - log_expit(0.5 * 5.0)),
    "beta_orpo": ({"lam": 0.3, "beta": 2.0}, 2.0 - 0.3 * log_expit(2.0 * (ODDS[0] - ODDS[1]))),
    "dpo_norm": ({"beta": 0.5}, -log_expit(0.5 * (1 / 2 + 1 / 3))),
    "robust_dpo": (
        {"beta": 0.5, "label_smoothing": 0.2},
        (-0.8 * LOGISTIC + 0.2 * log_expit(-0.5 * DELTA)) / 0.6,
    ),
    "hinge": ({"beta": 0.2}, 1 - 0.2 * DELTA),
    "exo": (
        {"beta": 0.5, "label_smoothing": 0.1},
        np.exp(LOGISTIC) * (LOGISTIC - np.log(0.9))
        + np.exp(LOGISTIC - 1) * (LOGISTIC - 1 - np.log(0.1)),
    ),
    "discopop": (
        {"beta": 0.5, "tau": 0.5},
        -LOGISTIC / (1 + np.exp(2.0)) + np.exp(-1.0) / (1 + np.exp(-2.0)),
    ),
    "ropo": (
        {"beta": 0.5, "alpha": 3.0},
        12 / 16 * (-LOGISTIC + 3.0 / (1 + np.exp(1.0))),
    ),
    "dpop": ({"beta": 0.5, "lam": 3.0}, -LOGISTIC),  # the chosen one is likelier than it was
    "rpo": ({"beta": 0.5, "alpha": 0.7}, 0.7 * 2.0 - LOGISTIC),
    "nca": (
        {"beta": 0.5},
        -log_expit(0.5) - log_expit(-0.5) / 2 - log_expit(0.5) / 2,
    ),
    "bco_pair": ({"beta": 0.5}, -2 * log_expit(0.5)),
    "kto_pair": ({"beta": 0.5}, 2 / (1 + np.exp(0.5))),
    "apo_zero": ({"beta": 0.5}, 2 / (1 + np.exp(0.5))),
    "apo_down": ({"beta": 0.5}, 1 / (1 + np.exp(-0.5)) + 1 / (1 + np.exp(1.0))),
    "aot": ({"beta": 0.5}, -LOGISTIC),
    "aot_unpaired": ({"beta": 0.5}, -LOGISTIC),
    "sppo": ({"beta": 0.25}, 2 * (1.0 - 2.0) ** 2),
    "filtered_sft": ({"threshold": 1.0}, 2.0 / 2),
    "awr": ({"temperature": 0.7}, (np.exp(1.5 / 0.7) * 2.0 + np.exp(0.5 / 0.7) * 3.0) / 2),
    "sft": ({}, 4.0),
    "reinforce": ({}, (2.0 * 4.0 - 1.0 * 9.0) / 2),
    # Ratios e^0.1 and e^-1: the first is inside of 1 ± 0.2, the second counts as 0.8.
    "ppo": ({"clip": 0.2}, -(2.0 * np.exp(0.1) - 0.8) / 2),
    "grpo": (
        {"clip": 0.2, "beta": 0.5},
        (0.5 * (np.exp(-1.0) + np.exp(1.0) - 2 + 1 - 1) - (2.0 * np.exp(0.1) - 0.8)) / 2,
    ),
    "unlikelihood": ({"beta": 0.5, "threshold": 0.001}, 4.0 - 0.5 * 9.0),
    "rpo_fwd": (
        {"beta": 0.5, "eta": 3.0},
        np.exp(LOGISTIC) * (LOGISTIC - log_expit(3.0))
        + np.exp(LOGISTIC - 1) * (LOGISTIC - 1 - log_expit(-3.0)),
    ),
    "rpo_mirror": (
        {"beta": 0.5, "eta": 3.0, "saturation": 2.0},
        (2.0 * (np.tanh(0.5) - np.tanh(1.5))) ** 2,
    ),
    "dpo": ({"beta": 0.5}, -log_expit(0.5 * DELTA)),
    "cdpo": (
        {"beta": 0.5, "label_smoothing": 0.2},
        -0.8 * log_expit(0.5 * DELTA) - 0.2 * log_expit(-0.5 * DELTA),
    ),
    "ipo": ({"beta": 0.25}, (DELTA - 2.0) ** 2),
    "simpo": ({"beta": 2.0, "gamma": 0.5}, -log_expit(2.0 * (-2.0 + 3.0) - 0.5)),
    "orpo": ({"lam": 0.3}, 2.0 - 0.3 * log_expit(ODDS[0] - ODDS[1])),
    "distill_dpo": ({"beta": 0.5, "eta": 3.0}, (0.5 * DELTA - 3.0) ** 2),
    "rpo_sq": ({"beta": 0.5, "eta": 3.0}, (0.5 * DELTA - 3.0) ** 2 / 2),
    "rpo_sqloo": ({"beta": 0.5, "eta": 3.0}, (0.5 * DELTA - 3.0) ** 2),
    "rpo_bwd": (
        {"beta": 0.5, "eta": 3.0},
        (lambda q: q * np.log(q) + (1 - q) * np.log(1 - q))(1 / (1 + np.exp(-3.0)))
        - log_expit(0.5 * DELTA) / (1 + np.exp(-3.0))
        - log_expit(-0.5 * DELTA) / (1 + np.exp(3.0)),
    ),
    "wdpo": (
        {"beta": 0.5, "reward_beta": 2.0},
        -np.exp(log_expit(2.0)) * log_expit(0.5 * DELTA),
    ),
    "mpo": (
        {"psi": Log(), "phi_inv": Logit(), "lam": 0.3},
        2.0 - 0.3 * log_expit(ODDS[0] - ODDS[1]),
    ),
    "mpo_ref": ({"phi_inv": Log(), "beta": 0.5}, -log_expit(0.5 * DELTA)),
    "closed_form": (
        {"alpha": 0.7, "beta": 1.5, "lam": 0.2},
        0.7 * 2.0 - 0.2 * log_expit(1.5 * (-2.0 + 3.0)),
    ),
    "ta_mpo": ({"lam": 0.3, "turn": 2.0}, 2.0),  # it begins as imitation
    "wide": (
        {"psi": Log(), "phi_inv": Logit(), "lam": 0.3, "gamma": 0.5, "noise": 0.2},
        2.0
        - 0.3 * 0.8 * log_expit(ODDS[0] - ODDS[1] - 0.5)
        - 0.3 * 0.2 * log_expit(ODDS[1] - ODDS[0] + 0.5),
    ),
}


@over_names
@pytest.mark.sweep
def test_value_by_hand(name):
    settings, expected = BY_HAND[name]
    pair = mpo.Comparison(**{key: jnp.asarray(value) for key, value in PAIR.items()})
    np.testing.assert_allclose(mpo.objective(name, **settings)(pair), expected, rtol=1e-12)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "rpo_mirror"])  # its value is no loss
@given(seed=seeds)
@settings(max_examples=20)
@pytest.mark.sweep
def test_gradient_against_finite_differences(name, seed):
    objective, c = mpo.objective(name), _comparison(seed)
    step = 1e-6
    for i in range(2):
        move = step * jnp.eye(2)[i]
        up = _loss(objective, dataclasses.replace(c, logp=c.logp + move))
        down = _loss(objective, dataclasses.replace(c, logp=c.logp - move))
        slope = (up - down) / (2 * step)
        np.testing.assert_allclose(_gradient(objective, c)[i], slope, rtol=1e-4, atol=1e-6)


@over_names
@pytest.mark.parametrize("k", [2, 4])
@pytest.mark.sweep
def test_jit_and_vmap_change_nothing(name, k):
    objective, batch = mpo.objective(name), _comparison(7, k=k, batch=(5,))
    single = [objective(jax.tree.map(lambda x, i=i: x[i], batch), 0.3) for i in range(5)]
    batched = jax.jit(jax.vmap(objective, in_axes=(0, None)))(batch, 0.3)
    np.testing.assert_allclose(batched, single, rtol=1e-12)
    slopes = jax.vmap(lambda c: _gradient(objective, c))(batch)
    one = _gradient(objective, jax.tree.map(lambda x: x[2], batch))
    np.testing.assert_allclose(slopes[2], one, rtol=1e-10, atol=1e-14)


# Those that are left out have no number to set, or none that is felt at the start.
@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("sft", "reinforce", "ta_mpo")])
@pytest.mark.sweep
def test_a_grid_of_settings_is_a_vmap(name):
    objectives = [mpo.objective(name), mpo.objective(name)]
    numeric = [
        field.name
        for field in dataclasses.fields(objectives[0])
        if isinstance(getattr(objectives[0], field.name), float)
    ]
    objectives[1] = dataclasses.replace(
        objectives[1], **{key: getattr(objectives[1], key) * 0.9 for key in numeric}
    )
    c = dataclasses.replace(_comparison(3), reward=jnp.array([0.47, -1.0]))  # between thresholds
    c = dataclasses.replace(c, sampled_logp=c.logp - 1, credit=jnp.ones(2))  # the ratio is clipped
    stacked = jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(x) for x in leaves]), *objectives)
    together = jax.vmap(lambda objective: objective(c))(stacked)
    np.testing.assert_allclose(together, [o(c) for o in objectives], rtol=1e-12)
    assert together[0] != together[1]


@over_names
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.sweep
def test_float32_agrees_with_float64(name, seed):
    c = _comparison(seed, dtype=np.float32)  # the same numbers in both precisions
    wide = jax.tree.map(lambda x: x.astype(jnp.float64), c)
    exact = mpo.objective(name)(wide), _gradient(mpo.objective(name), wide)
    with jax.enable_x64(False):
        objective = mpo.objective(name)
        value, slope = objective(c), _gradient(objective, c)
    assert value.dtype == slope.dtype == jnp.float32
    # Log-probabilities enter a margin as differences: rounding is that of the largest.
    scale = 1 + float(jnp.max(jnp.abs(c.logp)))
    np.testing.assert_allclose(value, exact[0], rtol=1e-5, atol=1e-7 * scale)
    np.testing.assert_allclose(slope, exact[1], rtol=1e-5, atol=1e-7 * scale)


@over_names
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@pytest.mark.sweep
def test_narrow_log_probabilities_leave_the_other_numbers_whole(name, dtype):
    with jax.enable_x64(False):
        objective, c = mpo.objective(name), _comparison(3, dtype=np.float32)
        narrow = dataclasses.replace(c, logp=c.logp.astype(dtype))
        wide = dataclasses.replace(c, logp=narrow.logp.astype(jnp.float32))
        value = _loss(objective, narrow, 1 / 3)
        assert value.dtype == jnp.float32
        assert value == _loss(objective, wide, 1 / 3)
        slope = _gradient(objective, narrow)
        assert slope.dtype == dtype
        np.testing.assert_array_equal(slope, _gradient(objective, wide).astype(dtype))


@over_names
@pytest.mark.parametrize("logp", [(-1e4, -1e4), (-1e4, -1.0), (-1.0, -1e4), (5e3, -1e4)])
@pytest.mark.sweep
def test_gradient_is_finite_for_long_responses(name, logp):
    with jax.enable_x64(False):
        c = mpo.Comparison(
            logp=jnp.asarray(logp),
            length=jnp.array([1000, 1000]),
            ref_logp=jnp.array([-1e4, -1e3]),
            reward=jnp.array([2e3, -1e3]),
            sampled_logp=jnp.array([-1.0, -1e4]),
            credit=jnp.array([1.0, -1.0]),
        )
        for switched in (False, True):
            objective = mpo.objective(name, length_normalise=switched)
            assert _loss(objective, c).dtype == jnp.float32
            assert np.isfinite(_loss(objective, c))
            assert np.all(np.isfinite(_gradient(objective, c)))


# --- identities between objectives -------------------------------------------------------


@given(seed=seeds)
@pytest.mark.sweep
def test_mpo_contains_orpo(seed):
    c = _comparison(seed, scale=1.0)
    orpo = mpo.objective("orpo", lam=0.7)
    for held in (
        mpo.objective("mpo", lam=0.7),
        mpo.objective("mpo", lam=0.7, psi=Log(), phi_inv=Logit()),
        mpo.objective(
            "mpo",
            lam=0.7,
            psi=mpo.potential("basis", role="psi", temporal=True),
            phi_inv=mpo.potential("basis", role="phi_inv", temporal=True),
        ),
    ):
        np.testing.assert_allclose(_loss(held, c, 0.6), _loss(orpo, c), rtol=1e-12)
        np.testing.assert_allclose(_gradient(held, c), _gradient(orpo, c), rtol=1e-9, atol=1e-14)


@given(seed=seeds)
def test_mpo_ref_contains_dpo(seed):
    c = _comparison(seed, k=3)
    dpo = mpo.objective("dpo", beta=0.4)
    for shift in (0.0, 1.0):  # φ = e^x and φ = e^{x-1}
        held = mpo.objective("mpo_ref", beta=0.4, phi_inv=Log(shift=shift))
        np.testing.assert_allclose(_loss(held, c), _loss(dpo, c), rtol=1e-9, atol=1e-14)
        np.testing.assert_allclose(_gradient(held, c), _gradient(dpo, c), rtol=1e-9, atol=1e-14)


@given(seed=seeds, alpha=st.floats(0, 5), beta=st.floats(0, 5), lam=st.floats(0, 5))
def test_the_closed_form_is_an_mpo_objective(seed, alpha, beta, lam):
    c = _comparison(seed)
    closed = mpo.objective("closed_form", alpha=alpha, beta=beta, lam=lam)
    psi, phi_inv = BasisPotential.of({"log": alpha}), BasisPotential.of({"log": beta})
    held = mpo.objective("mpo", lam=lam, psi=psi, phi_inv=phi_inv)
    np.testing.assert_allclose(_loss(held, c), _loss(closed, c), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(_gradient(held, c), _gradient(closed, c), rtol=1e-9, atol=1e-12)


def _with_gap(c, gap):
    return dataclasses.replace(c, reward=jnp.array([gap, 0.0]))


@given(seed=seeds)
def test_rpo_table_1(seed):
    c, beta = _comparison(seed), 0.3
    sure, even = _with_gap(c, 1e6), _with_gap(c, 0.5)

    def same(first, second, factor=1.0, shift=0.0):
        (one, a), (two, b) = first, second
        np.testing.assert_allclose(
            _loss(one, a), factor * _loss(two, b) + shift, rtol=1e-9, atol=1e-12
        )
        np.testing.assert_allclose(
            _gradient(one, a), factor * _gradient(two, b), rtol=1e-9, atol=1e-12
        )

    backward = mpo.objective("rpo_bwd", beta=beta)
    # DPO: backward KL, δ_r* → ∞.
    same((backward, sure), (mpo.objective("dpo", beta=beta), c))
    # cDPO: backward KL, δ_r* = logit(1 - ε); the label's entropy is a constant.
    flipped = 0.2
    labels = _with_gap(c, np.log((1 - flipped) / flipped))
    entropy = -(flipped * np.log(flipped) + (1 - flipped) * np.log(1 - flipped))
    cdpo = mpo.objective("cdpo", beta=beta, label_smoothing=flipped)
    same((backward, labels), (cdpo, c), shift=-entropy)
    # IPO: squared distance, δ_r* = ½; (δ - 1/2β)² = (2/β²) · ½ (β δ - ½)².
    squared = mpo.objective("rpo_sq", beta=beta)
    same((mpo.objective("ipo", beta=beta), c), (squared, even), factor=2 / beta**2)
    # Distilled DPO: squared distance.
    same((mpo.objective("distill_dpo", beta=beta), c), (squared, c), factor=2.0)
    # SimPO, γ = 0: backward KL per step, δ_r* → ∞, log π_ref proportional to length.
    uniform = dataclasses.replace(sure, ref_logp=-1.7 * c.length.astype(jnp.float64))
    per_step = mpo.objective("rpo_bwd", beta=beta, length_normalise=True)
    same((per_step, uniform), (mpo.objective("simpo", beta=beta, gamma=0.0), c))


@given(seed=seeds)
def test_wdpo_is_dpo_where_its_weight_is_one_and_half_of_it_at_no_gap(seed):
    c, dpo = _comparison(seed), mpo.objective("dpo", beta=0.2)
    wdpo = mpo.objective("wdpo", beta=0.2, reward_beta=3.0)
    np.testing.assert_allclose(_loss(wdpo, _with_gap(c, 100.0)), _loss(dpo, c), rtol=1e-12)
    np.testing.assert_allclose(_loss(wdpo, _with_gap(c, 0.0)), _loss(dpo, c) / 2, rtol=1e-12)
    np.testing.assert_allclose(
        _gradient(wdpo, _with_gap(c, 0.0)), _gradient(dpo, c) / 2, rtol=1e-12
    )


@given(seed=seeds, k=st.integers(2, 5))
def test_gradient_of_rpo_sqloo_is_the_leave_one_out_score(seed, k):
    """∂/∂log π(y_k) = β K/(K-1) (A_k - mean of the other A), A = β log π/π_ref - η r (RLOO)."""
    c, beta, eta = _comparison(seed, k=k), 0.3, 1.7
    a = np.asarray(beta * (c.logp - c.ref_logp) - eta * c.reward)
    scores = [a[i] - np.mean(np.delete(a, i)) for i in range(k)]
    found = _gradient(mpo.objective("rpo_sqloo", beta=beta, eta=eta), c)
    np.testing.assert_allclose(found, beta * k / (k - 1) * np.array(scores), rtol=1e-8, atol=1e-9)


@given(seed=seeds, k=st.integers(2, 5))
def test_gradient_of_rpo_bwd_is_a_difference_of_softmaxes(seed, k):
    c, beta, eta = _comparison(seed, k=k), 0.3, 1.7
    implied, explicit = beta * (c.logp - c.ref_logp), eta * c.reward
    expected = beta * (softmax(np.asarray(implied)) - softmax(np.asarray(explicit)))
    objective = mpo.objective("rpo_bwd", beta=beta, eta=eta)
    np.testing.assert_allclose(_gradient(objective, c), expected, rtol=1e-8, atol=1e-12)
    q, p = np.asarray(explicit), np.asarray(implied)
    kl = np.sum(softmax(q) * ((q - logsumexp(q)) - (p - logsumexp(p))))
    np.testing.assert_allclose(_loss(objective, c), kl, rtol=1e-9, atol=1e-12)


def _alike(one, other, seed, factor=1.0, rtol=1e-9):
    """Hold two losses to the same value and slope; values up to a constant if `factor` is None."""
    c = _comparison(seed, scale=1.0)
    np.testing.assert_allclose(_loss(one, c), factor * _loss(other, c), rtol=rtol)
    np.testing.assert_allclose(
        _gradient(one, c), factor * _gradient(other, c), rtol=10 * rtol, atol=rtol
    )


@given(seed=seeds)
@settings(max_examples=20)
def test_limits_of_the_hand_made_losses_are_each_other(seed):
    of = mpo.objective
    per_step = of("sft", length_normalise=True)
    _alike(of("gce", q=1e-7), per_step, seed, rtol=1e-5)
    linear = of("mpo", psi=BasisPotential.of({"x": 1.0}), phi_inv=Log(), lam=0.0)
    c = _comparison(seed)
    np.testing.assert_allclose(
        _gradient(of("gce", q=1.0), c), _gradient(linear, c), rtol=1e-9, atol=1e-14
    )
    _alike(of("weighted_sft", rho=0.0), per_step, seed)
    _alike(of("awr", temperature=1e9), of("weighted_sft", rho=1.0), seed, rtol=1e-7)
    _alike(of("filtered_sft", threshold=-1e9), of("weighted_sft", rho=1.0), seed)
    _alike(of("beta_orpo", lam=0.3, beta=1.0), of("orpo", lam=0.3), seed)
    _alike(of("alphapo", alpha=1e-7), of("simpo"), seed, rtol=1e-5)
    _alike(of("dpo_norm", beta=0.4), of("dpo", beta=0.4, length_normalise=True), seed)
    _alike(of("robust_dpo", beta=0.4, label_smoothing=0.0), of("dpo", beta=0.4), seed)
    _alike(of("rpo", beta=0.4, alpha=0.0), of("dpo", beta=0.4), seed)
    _alike(of("dpop", beta=0.4, lam=0.0), of("dpo", beta=0.4), seed)


@given(seed=seeds, flipped=st.floats(0.0, 0.45))
def test_robust_dpo_is_dpo_in_the_mean_over_flipped_labels(seed, flipped):
    c = _comparison(seed)
    turned = jax.tree.map(lambda x: x[::-1], c)
    robust = mpo.objective("robust_dpo", beta=0.1, label_smoothing=flipped)
    mean = (1 - flipped) * _loss(robust, c) + flipped * _loss(robust, turned)
    np.testing.assert_allclose(mean, _loss(mpo.objective("dpo", beta=0.1), c), rtol=1e-7, atol=1e-9)


def test_no_pair_pulls_more_than_one_under_ropo():
    """And one that contradicts the agent outright pulls less than one it is unsure about."""
    objective = mpo.objective("ropo", beta=1.0, alpha=14.0)
    margins = np.linspace(-8, 8, 1001)

    def weight(margin):
        c = mpo.Comparison(
            jnp.array([margin, 0.0]), jnp.ones(2), ref_logp=jnp.zeros(2), reward=jnp.zeros(2)
        )
        return -_gradient(objective, c)[0]

    weights = np.array([weight(margin) for margin in margins[::20]])
    assert weights.max() <= 1 + 1e-9
    assert weights.max() > 0.99
    assert weights[0] < 0.5


REFERRING = [n for n in NAMES if "ref_logp" in mpo.OBJECTIVES[n].needs]
LISTWISE = [
    *("rpo_bwd", "rpo_fwd", "rpo_sqloo", "rpo_mirror", "filtered_sft", "awr"),
    *("unlikelihood", "reinforce", "ppo", "grpo"),
]


@pytest.mark.parametrize("name", [n for n in REFERRING if n != "rpo"])  # it adds a likelihood
@given(seed=seeds, shift=st.floats(-50, 50))
@settings(max_examples=20)
@pytest.mark.sweep
def test_a_constant_added_to_both_policies_changes_nothing(name, seed, shift):
    objective = mpo.objective(name)  # of mpo_ref, its default φ = e^x alone sees only the ratio
    c = _comparison(seed)
    moved = dataclasses.replace(
        c,
        logp=c.logp + shift,
        ref_logp=c.ref_logp + shift,
        sampled_logp=c.sampled_logp + shift,
    )
    np.testing.assert_allclose(_loss(objective, moved), _loss(objective, c), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", ["rpo_sq", "rpo_bwd", "rpo_sqloo", "distill_dpo", "wdpo"])
@given(seed=seeds, shift=st.floats(-20, 20))
@settings(max_examples=20)
def test_a_constant_added_to_the_rewards_changes_nothing(name, seed, shift):
    c, objective = _comparison(seed), mpo.objective(name)
    moved = dataclasses.replace(c, reward=c.reward + shift)
    np.testing.assert_allclose(_loss(objective, moved), _loss(objective, c), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in LISTWISE])
def test_pairwise_objectives_take_the_best_and_the_worst(name):
    three = _comparison(5, k=3)
    pair = jax.tree.map(lambda x: x[jnp.array([0, 2])], three)
    np.testing.assert_allclose(mpo.objective(name)(three), mpo.objective(name)(pair), rtol=1e-12)


@pytest.mark.parametrize("name", LISTWISE)
def test_listwise_objectives_use_every_response(name):
    c = _comparison(5, k=4)
    near = -1 - 0.1 * jnp.arange(4.0)  # no ratio is clipped, no response too rare to be pushed
    c = dataclasses.replace(c, logp=near, sampled_logp=near)
    c = dataclasses.replace(c, reward=jnp.abs(c.reward) + 0.5)  # all above the threshold
    assert np.all(np.abs(_gradient(mpo.objective(name), c)) > 1e-13)


def test_temporal_objectives_follow_progress():
    psi = BasisPotential.orpo("psi", temporal=True)
    psi = dataclasses.replace(psi, weight_end=psi.weight - 1.0)
    objective = mpo.objective("mpo", psi=psi)
    c = _comparison(1)
    assert objective(c, 0.0) != objective(c, 0.5) != objective(c, 1.0)
    assert isinstance(objective.psi, Potential)


@over_names
@pytest.mark.sweep
def test_an_empty_response_has_a_defined_value(name):
    c = mpo.Comparison(
        logp=jnp.array([0.0, -3.0]),
        length=jnp.array([0, 3]),
        ref_logp=jnp.array([0.0, -2.0]),
        reward=jnp.array([1.0, 0.0]),
        sampled_logp=jnp.array([0.0, -3.0]),
        credit=jnp.array([1.0, -1.0]),
    )
    objective = mpo.objective(name, length_normalise=True)
    assert np.isfinite(objective(c))
    assert np.all(np.isfinite(_gradient(objective, c)))
