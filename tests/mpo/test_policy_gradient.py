"""What ties policy gradients, reward-aware losses and divergences together, as identities."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp, softmax

import envs
import mpo
from envs.bandit.reference import cauchy_bins, tilted

seeds = st.integers(0, 2**32 - 1)
pytestmark = pytest.mark.usefixtures("x64")


def group(seed, k=4, **fields):
    rng = np.random.default_rng(seed)
    logp = jnp.asarray(rng.normal(-20, 4, k))
    own = {
        "ref_logp": logp + jnp.asarray(rng.normal(0, 2, k)),
        "reward": jnp.asarray(rng.normal(0, 1, k)),
        "sampled_logp": logp,
        "credit": jnp.asarray(rng.normal(0, 1, k)),
    }
    return mpo.Comparison(logp=logp, length=jnp.full(k, 10.0), **{**own, **fields})


def slope(objective, c):
    return jax.grad(lambda logp: objective(dataclasses.replace(c, logp=logp)))(c.logp)


@given(seed=seeds, k=st.integers(1, 6))
@settings(max_examples=30)
@pytest.mark.sweep
def test_where_the_agent_wrote_them_ppo_has_the_slope_of_reinforce(seed, k):
    c = group(seed, k)
    np.testing.assert_allclose(
        slope(mpo.objective("ppo"), c), slope(mpo.objective("reinforce"), c), rtol=1e-9
    )
    bare = mpo.objective("grpo", beta=0.0)
    np.testing.assert_allclose(slope(bare, c), slope(mpo.objective("ppo"), c), rtol=1e-9)


@given(seed=seeds, k=st.integers(2, 6), eta=st.floats(0.1, 5), beta=st.floats(0.05, 1))
@settings(max_examples=30)
@pytest.mark.sweep
def test_rpo_sqloo_is_rloo_with_the_kl_in_its_reward_whatever_eta(seed, k, eta, beta):
    c = group(seed, k)
    a = eta * c.reward - beta * (c.logp - c.ref_logp)
    credit = a - (jnp.sum(a) - a) / (k - 1)
    rloo = slope(mpo.objective("reinforce"), dataclasses.replace(c, credit=credit))
    found = slope(mpo.objective("rpo_sqloo", beta=beta, eta=eta), c)
    np.testing.assert_allclose(found, beta * k**2 / (k - 1) * rloo, rtol=1e-6, atol=1e-9)


@given(seed=seeds, k=st.integers(2, 6))
@settings(max_examples=30)
@pytest.mark.sweep
def test_the_mirror_distance_has_the_slope_of_sqloo_where_nothing_saturates(seed, k):
    c = group(seed, k)
    flat = mpo.objective("rpo_mirror", beta=0.3, eta=1.0, saturation=1e6)
    sq = mpo.objective("rpo_sqloo", beta=0.3, eta=1.0)
    np.testing.assert_allclose(slope(flat, c), slope(sq, c) * (k - 1) / k, rtol=1e-5, atol=1e-8)


@given(seed=seeds, k=st.integers(2, 6), shift=st.floats(-20, 20))
@settings(max_examples=30)
@pytest.mark.sweep
def test_the_partition_function_drops_out_of_every_distance(seed, k, shift):
    c = group(seed, k)
    for name in ("rpo_bwd", "rpo_fwd", "rpo_sqloo", "rpo_mirror"):
        objective = mpo.objective(name, beta=0.4, eta=1.5)
        for moved in (
            dataclasses.replace(c, reward=c.reward + shift),
            dataclasses.replace(c, logp=c.logp + shift),
        ):
            np.testing.assert_allclose(objective(moved), objective(c), rtol=1e-8, atol=1e-9)
            np.testing.assert_allclose(
                slope(objective, moved), slope(objective, c), rtol=1e-6, atol=1e-9
            )


@given(seed=seeds, k=st.integers(2, 6))
@settings(max_examples=30)
def test_backward_is_the_bregman_divergence_of_logsumexp(seed, k):
    c = group(seed, k)
    a, b = np.asarray(0.3 * (c.logp - c.ref_logp)), np.asarray(1.7 * c.reward)
    expected = logsumexp(a) - logsumexp(b) - softmax(b) @ (a - b)
    found = mpo.objective("rpo_bwd", beta=0.3, eta=1.7)(c)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10)


@given(seed=seeds, k=st.integers(2, 6), eta=st.floats(0.1, 5))
@settings(max_examples=30)
@pytest.mark.sweep
def test_at_the_optimum_every_distance_and_every_slope_vanishes_on_any_responses(seed, k, eta):
    beta = 0.2
    c = group(seed, k)
    there = dataclasses.replace(c, logp=c.ref_logp + eta * c.reward / beta + 3.0)
    for name in ("rpo_bwd", "rpo_fwd", "rpo_sqloo", "rpo_mirror", "rpo_sq"):
        objective = mpo.objective(name, beta=beta, eta=eta)
        np.testing.assert_allclose(objective(there), 0, atol=1e-8)
        np.testing.assert_allclose(slope(objective, there), 0, atol=1e-6)


def test_for_small_rewards_the_scores_of_sqloo_and_of_bwd_are_in_one_ratio():
    for k in (2, 4):
        c = group(3, k)
        c = dataclasses.replace(c, logp=c.ref_logp, reward=1e-4 * c.reward)
        ratio = slope(mpo.objective("rpo_sqloo"), c) / slope(mpo.objective("rpo_bwd"), c)
        np.testing.assert_allclose(ratio, k**3 / (k - 1) ** 2, rtol=1e-3)


# --- of Tajwar et al., 2024 -----------------------------------------------------------------


@given(seed=seeds, beta=st.floats(0.005, 1.0))
@settings(max_examples=20)
def test_lemma_5_1_the_kl_regularised_return_is_the_distance_to_its_optimum(seed, beta):
    task = envs.task("token_bandit", vocabulary=12, horizon=4, architecture="positions")
    rng = np.random.default_rng(seed)
    rows = jnp.asarray(rng.normal(0, 2, (1, 4, 12)))
    left = -task.expected_return(rows) + beta * task.divergence(rows)
    lam = 1 / (beta * task.horizon)
    weights = np.log(task.reference) + lam * task.token_reward
    best, log_z = weights - logsumexp(weights), task.horizon * logsumexp(weights)
    p = jax.nn.log_softmax(rows)[0]
    right = -beta * log_z + beta * jnp.sum(jnp.exp(p) * (p - best[None]))
    np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-10)


def test_the_optimum_is_what_an_agent_of_the_task_is():
    reference, reward = cauchy_bins(100, "clip"), envs.task("token_bandit").token_reward
    best = tilted(reference, reward, 0.5)
    lam = np.polyfit(reward, np.log(best / reference), 1)[0]
    weights = np.log(reference) + lam * reward
    np.testing.assert_allclose(np.log(best), weights - logsumexp(weights), atol=1e-6)


def categoricals(count, size=6):
    rng = np.random.default_rng(0)
    scale = rng.uniform(0.2, 5, (count, 1))
    p, q = (softmax(scale * rng.normal(size=(count, size)), axis=1) for _ in range(2))
    return p, q


def steps_of(p, q):
    """Return the first-order steps of log p under the forward and the reverse KL, per η."""
    d = np.sum(p * np.log(p / q), axis=1, keepdims=True)
    return q - p, p * (np.log(q / p) + d), d


def test_one_step_of_each_divergence_is_what_lemma_e_4_says():
    p, q = categoricals(50)
    forward, reverse, _ = steps_of(p, q)

    def kl(f, first, second):
        a, b = jax.nn.log_softmax(f), jnp.log(second)
        pairs = {"forward": jnp.sum(second * (b - a)), "reverse": jnp.sum(jnp.exp(a) * (a - b))}
        return pairs[first]

    for own, other, f, r in zip(p, q, forward, reverse, strict=True):
        for name, expected in (("forward", f), ("reverse", r)):
            gradient = jax.grad(lambda logits, n=name, o=other: kl(logits, n, jnp.asarray(o)))(
                jnp.log(own)
            )
            np.testing.assert_allclose(-gradient, expected, atol=1e-10)


def test_theorem_5_2_in_its_sharp_form_and_where_it_reverses():
    rng = np.random.default_rng(1)
    p, q = categoricals(10_000)
    d = steps_of(p, q)[2][:, 0]
    # Case 1, two categories of one probability: reverse is faster above the logarithmic mean.
    p1 = rng.uniform(1e-6, 0.5, 10_000)
    q1 = rng.uniform(1e-6, 1, 10_000)
    q2 = q1 * rng.uniform(1e-6, 1, 10_000)
    gap_f, gap_r = q1 - q2, p1 * np.log(q1 / q2)
    mean = (q1 - q2) / np.log(q1 / q2)
    clear = np.abs(p1 - mean) > 1e-12
    np.testing.assert_array_equal((gap_r > gap_f)[clear], (p1 > mean)[clear])
    assert 0.1 < np.mean(p1 < mean) < 0.9, "far off support, the forward KL is faster"
    # Cases 2 and 3, two categories of one target.
    a, b, t = p[:, 0], p[:, 1], q[:, 0]
    swap = a < b
    a, b = np.where(swap, b, a), np.where(swap, a, b)
    forward = b - a
    reverse = a * (np.log(t / a) + d) - b * (np.log(t / b) + d)
    np.testing.assert_array_equal((reverse > forward)[t >= a * np.exp(-d)], True)
    np.testing.assert_array_equal((reverse > 0)[t > a * np.exp(1 - d)], True)
    np.testing.assert_array_equal((reverse < forward)[t <= b * np.exp(-d)], True)


@given(seed=seeds)
@settings(max_examples=20)
def test_pushing_the_rejected_down_moves_the_chosen_as_the_norm_of_the_policy_says(seed):
    """log π_w moves by η c (π_w + π_l - ‖π‖²), the margin by η c (1 + π_w - π_l)."""
    rng = np.random.default_rng(seed)
    logits = jnp.asarray(rng.normal(0, 2, 8))
    pi, (w, l), eta, c = softmax(logits), rng.choice(8, 2, replace=False), 1e-4, 0.7  # noqa: E741

    def loss(f):
        return c * jax.nn.log_softmax(f)[l]

    moved = jax.nn.log_softmax(logits - eta * jax.grad(loss)(logits)) - jax.nn.log_softmax(logits)
    first = eta * c * (pi[w] + pi[l] - pi @ pi)
    np.testing.assert_allclose(moved[w], first, rtol=5e-3, atol=eta * 1e-4)
    np.testing.assert_allclose(
        moved[w] - moved[l], eta * c * (1 + pi[w] - pi[l]), rtol=1e-3, atol=eta * 1e-4
    )


@pytest.mark.sweep
def test_a_bare_log_ratio_has_no_expected_slope_and_sqloo_has_that_of_the_regularised_return():
    rng = np.random.default_rng(0)
    logits = jnp.asarray(rng.normal(0, 1, 6))
    reference = jnp.log(softmax(jnp.asarray(rng.normal(0, 1, 6))))
    reward, eta, beta, k = jnp.asarray(rng.normal(0, 1, 6)), 1.3, 0.5, 4
    drawn = jax.random.categorical(jax.random.key(0), logits, shape=(20_000, k))

    def of(f, objective, tokens):
        logp = jax.nn.log_softmax(f)[tokens]
        c = mpo.Comparison(
            logp=logp, length=jnp.ones(k), ref_logp=reference[tokens], reward=reward[tokens]
        )
        return objective(c)

    objective = mpo.objective("rpo_sqloo", beta=beta, eta=eta)
    each = jax.vmap(jax.grad(of), (None, None, 0))(logits, objective, drawn)

    def exact(f):
        p = jax.nn.log_softmax(f)
        return jnp.sum(jnp.exp(p) * (beta * (p - reference) - eta * reward))

    found, wanted = jnp.mean(each, axis=0), jax.grad(exact)(logits)
    cosine = found @ wanted / jnp.linalg.norm(found) / jnp.linalg.norm(wanted)
    assert cosine >= 0.98

    def ratio(f, token):
        return jax.nn.log_softmax(f)[token] - reference[token]

    bare = jax.vmap(jax.grad(ratio), (None, 0))(logits, drawn[:, 0])
    mean = jnp.linalg.norm(jnp.mean(bare, axis=0))
    assert mean < 0.05 * jnp.mean(jnp.linalg.norm(bare, axis=1))
