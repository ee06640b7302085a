"""The token bandit: the paper's numbers, exact quantities against draws, and named agents."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from envs.bandit import LEVELS, TokenBandit
from envs.bandit.reference import cauchy_bins, divergence_per_token, nearest, tilted
from mpo.errors import RequestError
from mpo.policies import GPTPolicy, MarkovPolicy
from tests.refusals import Meant, refusal

TASK = TokenBandit()
SMALL = TokenBandit(vocabulary=10, horizon=4)


def draws(task, params, count, seed=0):
    keys = jax.random.split(jax.random.key(seed), (count, 2))

    @jax.jit
    def all_of(params):
        starts = jax.vmap(task.start)(keys[:, 0])
        return jax.vmap(task.respond, in_axes=(None, 0, 0))(params, starts, keys[:, 1])

    return all_of(params)


def test_rewards_are_those_of_the_paper():
    aligned = TokenBandit(reward="aligned")
    for token, r1, r2 in ((70, 1.0, np.exp(-25.0)), (60, np.exp(-1.0), np.exp(-16.0))):
        np.testing.assert_allclose(TASK.token_reward[token], r1)
        np.testing.assert_allclose(aligned.token_reward[token], r2)
    assert aligned.token_reward.argmax() == 20
    assert (TASK.vocabulary, TASK.horizon) == (100, 10)


def test_the_reference_is_the_clipped_cauchy_distribution():
    edges = np.linspace(-1.0, 1.0, 101)
    cauchy = scipy.stats.cauchy(-0.7, 0.4)
    exact = np.diff(cauchy.cdf(edges))
    exact[0] += cauchy.cdf(-1.0)
    exact[-1] += cauchy.sf(1.0)
    counts = 10_000 * TASK.reference
    np.testing.assert_allclose(counts, np.round(counts))  # frequencies of 10,000 samples
    assert scipy.stats.chisquare(counts, 10_000 * exact).pvalue > 0.001
    assert 1 + TASK.reference[1:-1].argmax() in range(8, 22)


def test_the_squashed_reference_peaks_where_the_second_reward_does():
    squashed = TokenBandit(squash="tanh").reference
    np.testing.assert_allclose(squashed.sum(), 1.0)
    assert 1 + squashed[1:-1].argmax() in range(14, 27)
    median = np.searchsorted(squashed.cumsum(), 0.5)
    assert abs(median - (np.tanh(-0.7) + 1) * 50) < 3


def test_a_bin_without_samples_keeps_a_little_probability():
    fine = cauchy_bins(50_000, "clip")
    assert fine.min() > 0.0
    np.testing.assert_allclose(fine.sum(), 1.0)
    assert fine.min() / np.sort(np.unique(fine))[1] == pytest.approx(0.5)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.sweep
def test_exact_return_and_divergence_agree_with_draws(level):
    params = SMALL.agent(level) + jax.random.normal(jax.random.key(5), (10, 10))
    responses = draws(SMALL, params, 20_000)
    total = np.asarray(responses.total)
    error = total.std() / np.sqrt(len(total))
    assert abs(total.mean() - SMALL.expected_return(params)) < 4.5 * error
    log_prob = jax.jit(jax.vmap(SMALL.policy.log_prob, in_axes=(None, 0, 0)))
    pairs = responses.inputs, responses.outputs
    ratio = log_prob(params, *pairs) - log_prob(SMALL.agent("reference"), *pairs)
    ratio = np.asarray(ratio).sum(axis=1)
    error = ratio.std() / np.sqrt(len(ratio))
    assert abs(ratio.mean() - SMALL.divergence(params)) < 4.5 * error
    assert SMALL.divergence(params) > 10 * error


def test_exact_return_counts_how_tokens_follow_each_other():
    cycle = jnp.log(jnp.roll(jnp.eye(10), 1, axis=1) + 1e-9)  # after a comes a + 1
    expected = np.mean([SMALL.token_reward[np.arange(c + 1, c + 5) % 10].mean() for c in range(10)])
    np.testing.assert_allclose(SMALL.expected_return(cycle), expected, rtol=1e-5)


@pytest.mark.parametrize("reward", ["off_support", "aligned"])
def test_agents_reach_the_return_of_their_level(reward):
    task = TokenBandit(reward=reward)
    base = task.reference @ task.token_reward
    for level, share in LEVELS.items():
        params = task.agent(level)
        np.testing.assert_allclose(
            task.expected_return(params), base + share * (1 - base), rtol=1e-4
        )
    np.testing.assert_allclose(task.divergence(task.agent("reference")), 0.0, atol=1e-3)
    assert task.agents()[-1] == "expert"


def test_no_distribution_of_the_same_return_is_nearer_to_the_reference():
    p, r = TASK.reference, TASK.token_reward
    best = tilted(p, r, 0.5)
    rng = np.random.default_rng(0)
    for _ in range(20):
        noise = rng.normal(size=100)
        basis = np.stack([np.ones(100), r])
        noise -= basis.T @ np.linalg.lstsq(basis.T, noise, rcond=None)[0]
        other = best + 0.5 * best.min() / np.abs(noise).max() * noise
        np.testing.assert_allclose([other.sum(), other @ r], [1.0, 0.5])
        assert scipy.stats.entropy(other, p) > scipy.stats.entropy(best, p)


def test_training_starts_at_the_reference():
    params = TASK.initial(jax.random.key(0))
    np.testing.assert_allclose(jax.nn.softmax(params), np.tile(TASK.reference, (100, 1)), rtol=1e-4)
    np.testing.assert_array_equal(params, TASK.initial(jax.random.key(1)))
    tokens = np.asarray(draws(TASK, params, 2_000).outputs).ravel()
    seen = np.bincount(tokens, minlength=100)
    assert scipy.stats.chisquare(seen, TASK.reference * tokens.size).pvalue > 0.001


def divergence(policy, params, probabilities):
    return divergence_per_token(policy, params, probabilities, jax.random.key(9), 100)


@pytest.mark.sweep
def test_a_transformer_is_brought_to_a_distribution():
    policy, target = GPTPolicy(10, 4, layers=1, heads=1, width=8), jnp.asarray(SMALL.reference)
    fitted = nearest(policy, target)
    assert divergence(policy, fitted, target) < 1e-3
    assert divergence(policy, jax.jit(policy.init)(jax.random.key(0)), target) > 0.3


@pytest.mark.slow
def test_the_gpt_is_brought_to_its_levels_once_and_deterministically():
    task = TokenBandit(architecture="gpt")
    params = jax.jit(task.initial)(jax.random.key(0))  # traced, and still computed only once
    assert divergence(task.policy, params, jnp.asarray(task.reference)) < 1e-3
    again = task.initial(jax.random.key(1))
    same = jax.tree.map(lambda a, b: bool(jnp.all(a == b)), params, again)
    assert jax.tree.all(same)
    returns = np.asarray(draws(task, task.agent("expert"), 1_000).total)
    base = task.reference @ task.token_reward
    np.testing.assert_allclose(returns.mean(), base + 0.95 * (1 - base), atol=0.02)


def test_double_precision_is_kept():
    with jax.enable_x64(True):
        params = SMALL.agent("expert")
        assert params.dtype == jnp.float64
        base = SMALL.reference @ SMALL.token_reward
        top = SMALL.token_reward.max()
        np.testing.assert_allclose(
            SMALL.expected_return(params), base + 0.95 * (top - base), rtol=1e-12
        )
    assert SMALL.agent("expert").dtype == jnp.float32


def test_ascent_of_the_exact_return_leaves_the_reference_far_behind():
    """The table settles in the cycle that its docstring warns of: half the best return."""
    start = SMALL.agent("reference")

    @jax.jit
    def ascend(params):
        def step(params, _):
            return params + 5.0 * jax.grad(SMALL.expected_return)(params), None

        return jax.lax.scan(step, params, None, length=500)[0]

    assert SMALL.expected_return(start) < 0.05
    assert SMALL.expected_return(ascend(start)) > 0.45


def test_architectures():
    assert TASK.policy == MarkovPolicy(100, 10)
    assert TokenBandit(architecture="gpt").policy == GPTPolicy(100, 10)
    with pytest.raises(RequestError, match="need architecture 'table'"):
        TokenBandit(architecture="gpt").expected_return({})


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"reward": "alligned"}, Meant("aligned")),
        ({"architecture": "lstm"}, "known are gpt, positions, table"),
        ({"squash": "sigmoid"}, "known are clip, tanh"),
        ({"vocabulary": 5}, "≥ 10"),
        ({"horizon": 0}, "≥ 1"),
    ],
)
def test_wrong_settings_are_refused(settings, complaint):
    with refusal(complaint):
        TokenBandit(**settings)
