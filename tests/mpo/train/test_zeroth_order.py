"""Slopes from values of the loss alone: what they estimate, what they leave alone, what repeats."""

import dataclasses
from functools import partial
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import envs
import mpo
from mpo.train import (
    SPSA,
    Algorithm,
    ForwardGradient,
    Guided,
    Regime,
    hyper,
    population,
    replay,
    train,
    zeroth_order,
)
from mpo.train.zeroth_order import DECAYS, guided, noise

BANDIT = envs.task("token_bandit", vocabulary=10, horizon=4)
KEY = jax.random.key(5)


def quadratic(size: int):
    """Return J(θ) = θ·Hθ/2 + g·θ, and its gradient."""
    rng = np.random.default_rng(size)
    root = rng.normal(size=(size, size)) / np.sqrt(size)
    curved, tilt = jnp.asarray(root @ root.T), jnp.asarray(rng.normal(size=size))
    value = lambda x: x @ curved @ x / 2 + tilt @ x  # noqa: E731
    return (lambda x: (value(x), {})), jax.grad(value)


def slope_at(slope, loss, params, key, state=None):
    state = slope.init(params, 10) if state is None else state
    return slope(loss, params, state, key)[2]


def on_policy(slope, **settings):
    regime = Regime(task=BANDIT, prompts=8, responses=2, scope="leave_one_out")
    settings = {"updates": 12, "batch": 8, "learning_rate": 0.1, "optimizer": "sgd"} | settings
    return Algorithm(
        objective=mpo.objective("reinforce"), renewal=regime, descent=hyper(slope=slope, **settings)
    )


@pytest.mark.parametrize("epsilon", [1e-3, 0.1, 3.0])
def test_a_difference_on_a_quadratic_is_exact_at_every_distance(epsilon):
    with jax.enable_x64(True):
        loss, gradient = quadratic(30)
        params = jnp.asarray(np.random.default_rng(1).normal(size=30))
        z = noise(KEY, params)
        slope = slope_at(SPSA(epsilon=epsilon), loss, params, KEY)
        np.testing.assert_allclose(slope, (z @ gradient(params)) * z, rtol=1e-8 / min(epsilon, 1))


@pytest.mark.parametrize("slope", [SPSA(), ForwardGradient()])
@pytest.mark.sweep
def test_its_mean_is_the_gradient_and_its_square_is_that_of_gaussian_directions(slope):
    """20,000 draws in 20 dimensions: E ĝ = ∇J, E|ĝ|² = (d + 2)|∇J|²."""
    loss, gradient = quadratic(20)
    params = jnp.asarray(np.random.default_rng(2).normal(size=20), jnp.float32)
    with jax.numpy_dtype_promotion("standard"):
        keys = jax.random.split(KEY, 20_000)
        found = np.asarray(jax.vmap(lambda key: slope_at(slope, loss, params, key))(keys), float)
        exact = np.asarray(gradient(params), float)
    error = found.std(axis=0) / np.sqrt(len(found))
    assert np.all(np.abs(found.mean(axis=0) - exact) < 4 * error)
    square = np.sum(found**2, axis=1).mean()
    assert square == pytest.approx(22 * np.sum(exact**2), rel=0.05)


def test_more_draws_make_the_error_smaller_as_one_over_their_number():
    loss, gradient = quadratic(20)
    params = jnp.ones(20)
    with jax.numpy_dtype_promotion("standard"):
        exact = gradient(params)
        keys = jax.random.split(KEY, 4000)
        errors = [
            np.mean(
                jax.vmap(
                    lambda key, q=q: jnp.sum(
                        (slope_at(SPSA(samples=q), loss, params, key) - exact) ** 2
                    )
                )(keys)
            )
            for q in (1, 4)
        ]
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.15)


@pytest.mark.parametrize("kind", ["gaussian", "rademacher", "sphere"])
def test_noise_has_mean_square_one_and_leaves_of_one_shape_differ(kind):
    like = {"a": jnp.zeros((100, 100)), "b": jnp.zeros((100, 100))}
    drawn = noise(KEY, like, kind)
    assert np.mean(np.square(drawn["a"])) == pytest.approx(1, abs=0.05)
    together = np.corrcoef(np.ravel(drawn["a"]), np.ravel(drawn["b"]))[0, 1]
    assert abs(together) < 4 / np.sqrt(10_000)


@pytest.mark.parametrize("size", [10, 1_000_000])
@pytest.mark.parametrize("scope", ["whole", "leaf"])
def test_a_guided_direction_is_the_guide_or_as_long_and_without_what_it_keeps_away_from(
    scope, size
):
    keys = jax.random.split(KEY, 6)
    shapes = {"a": (size // 2,), "b": (size - size // 2,)}
    along, away, drawn = (
        {
            name: jax.random.normal(keys[2 * i + j], shape)
            for j, (name, shape) in enumerate(shapes.items())
        }
        for i in range(3)
    )
    flat = lambda tree: np.concatenate([np.asarray(tree[n], float) for n in "ab"])  # noqa: E731
    mixed = partial(guided, drawn, along, away, scope=scope)
    np.testing.assert_allclose(flat(mixed(alpha=1.0)), flat(along), rtol=1e-5, atol=1e-6)
    free = flat(mixed(alpha=0.0))
    length = np.linalg.norm(flat(along))
    assert np.linalg.norm(free) == pytest.approx(length, rel=1e-4)
    assert abs(free @ flat(away)) < 1e-4 * np.linalg.norm(free) * np.linalg.norm(flat(away))
    half = flat(mixed(alpha=0.6)) - 0.6 * flat(along)
    assert abs(half @ flat(away)) < 1e-4 * np.linalg.norm(half) * np.linalg.norm(flat(away))
    assert np.linalg.norm(half) == pytest.approx(0.8 * length, rel=1e-4)


def test_the_second_moment_of_guided_directions_is_that_of_the_algebra():
    """E z zᵀ = α² ΔπΔπᵀ + (1 − α²)‖Δπ‖² P/(d − 1), P without ΔR; 50,000 draws, d = 16."""
    rng = np.random.default_rng(4)
    along, away = (jnp.asarray(rng.normal(size=16), jnp.float32) for _ in range(2))
    draws = jax.vmap(lambda key: guided(noise(key, along), along, away, 0.5))(
        jax.random.split(KEY, 50_000)
    )
    found = np.asarray(draws, float).T @ np.asarray(draws, float) / 50_000
    d, r = np.asarray(along, float), np.asarray(away, float)
    beside = np.eye(16) - np.outer(r, r) / (r @ r)
    exact = 0.25 * np.outer(d, d) + 0.75 * (d @ d) * beside / 15
    assert np.linalg.norm(found - exact) < 0.03 * np.linalg.norm(exact)


@pytest.mark.parametrize(
    ("decay", "at"), [("linear", [0.9, 0.6, 0.0]), ("exponential", [0.9, 0.9 / np.e**3, 0.0])]
)
def test_the_guide_fades_within_a_round(decay, at):
    weights = [
        DECAYS[decay](jnp.float32(0.9), jnp.float32(k), jnp.float32(10.0)) for k in (0, 3, 100)
    ]
    np.testing.assert_allclose(weights, at, atol=1e-6)


@pytest.mark.sweep
def test_without_a_guide_it_is_spsa():
    start = BANDIT.agent("reference")
    plain, _ = train(on_policy(SPSA()), None, BANDIT.policy, KEY, start=start)
    unled = Guided(alpha=0.0, first="spsa")
    led, _ = train(on_policy(unled), None, BANDIT.policy, KEY, start=start)
    np.testing.assert_allclose(led, plain, atol=2e-5)
    assert np.max(np.abs(plain - start)) > 1e-4


def test_a_guide_is_the_way_of_the_round_before():
    """By hand: the first round by gradients, then one step along where it went."""
    start = BANDIT.agent("reference")
    of = partial(on_policy, updates=2, learning_rate=1.0)
    once, _ = train(on_policy(Guided(), updates=1, learning_rate=1.0), None, BANDIT.policy, KEY,
                    start=start)  # fmt: skip
    twice, seen = train(of(Guided(decay="constant")), None, BANDIT.policy, KEY, start=start)
    way, step = np.asarray(once - start, float).ravel(), np.asarray(twice - once, float).ravel()
    assert np.linalg.norm(step) > 0
    cosine = way @ step / np.linalg.norm(way) / np.linalg.norm(step)
    assert abs(cosine) == pytest.approx(1, abs=1e-3)
    assert seen.rounds["way"][1] == pytest.approx(np.linalg.norm(way), rel=1e-4)


@pytest.mark.parametrize(
    "slope",
    [
        SPSA(keep=True, samples=2),
        ForwardGradient(keep=True),
        Guided(keep=True, first="spsa", every=3, magnitude="unit"),
    ],
)
@pytest.mark.sweep
def test_a_training_is_told_again_by_its_scalars(slope):
    start = BANDIT.agent("reference")
    algorithm = on_policy(slope, optimizer="momentum")
    params, seen = train(algorithm, None, BANDIT.policy, KEY, start=start)
    scalars = seen.rounds["scalars"]
    assert scalars.nbytes == 4 * scalars.size
    again = replay(algorithm.descent, BANDIT.policy, KEY, scalars, start=start)
    np.testing.assert_array_equal(again, params)
    other = replay(algorithm.descent, BANDIT.policy, KEY, scalars * 2, start=start)
    assert np.max(np.abs(other - params)) > 1e-4


@pytest.mark.parametrize("slope", [SPSA(), ForwardGradient(), Guided(), Guided(scope="leaf")])
@pytest.mark.sweep
def test_what_is_not_trained_never_moves(slope):
    """A policy of physics keeps its normaliser to the bit; everything else moves."""
    from envs.data import from_arrays
    from mpo.policies import GaussianPolicy

    policy = GaussianPolicy(3, 2, (4,))
    rng = np.random.default_rng(0)
    seen = rng.normal(size=(8, 2, 5, 3)).astype(np.float32)
    done = rng.normal(size=(8, 2, 5, 2)).astype(np.float32)
    source = from_arrays(seen, done).view()
    start = policy.normalised(policy.init(KEY), jnp.arange(3.0), jnp.ones(3) * 2)
    algorithm = Algorithm(
        objective=mpo.objective("sft"),
        descent=hyper(updates=20, batch=4, learning_rate=1e-2, slope=slope),
    )
    params, metrics = train(algorithm, source, policy, KEY, start=start)
    assert metrics.finite
    for name in ("observation_mean", "observation_std"):
        np.testing.assert_array_equal(getattr(params, name), getattr(start, name))
    for name in ("kernels", "biases", "log_std"):
        moved = jax.tree.map(
            lambda a, b: bool(np.any(a != b)), getattr(params, name), getattr(start, name)
        )
        assert all(jax.tree.leaves(moved))


@pytest.mark.parametrize("how", ["vmap", "map"])
@pytest.mark.parametrize("slope", [SPSA(samples=2), Guided()])
@pytest.mark.sweep
def test_members_of_a_population_are_what_they_are_alone(slope, how):
    start = BANDIT.agent("reference")

    def member(values):
        epsilon, raw = values
        own = mpo.paths.put(on_policy(slope), "descent.slope.epsilon", epsilon)
        key = jax.random.wrap_key_data(raw)
        return train(own, None, BANDIT.policy, key, start=start)[0]

    values = (jnp.array([0.01, 0.1]), jax.random.key_data(jax.random.split(KEY, 2)))
    together = population(member, how)(values)
    for place, one in enumerate(zip(*values, strict=True)):
        np.testing.assert_allclose(together[place], jax.jit(member)(one), atol=1e-5)
    assert np.max(np.abs(together[0] - together[1])) > 1e-4


@mpo.pytree.pytree
@dataclasses.dataclass(frozen=True)
class Wrong(mpo.Objective):
    """1 for a pair that is ranked wrong, 0 for one that is right."""

    name: ClassVar[str] = "wrong"

    def loss(self, comparison, progress):
        return jnp.where(comparison.logp[0] > comparison.logp[-1], 0.0, 1.0)


def test_what_has_no_gradient_is_climbed_too():
    """Accuracy on pairs is flat nearly everywhere, and differences see its steps."""
    from envs.data import from_arrays

    rng = np.random.default_rng(3)
    outputs = np.stack([rng.integers(0, 5, (64, 4)), rng.integers(5, 10, (64, 4))], 1)
    inputs = np.repeat(rng.integers(0, 10, (64, 1)), 2, 1)
    arrays = (inputs.astype(np.int32), outputs.astype(np.int32))
    source = from_arrays(*arrays, vocabulary=10).view()
    settings = {"updates": 60, "batch": 64, "learning_rate": 0.3, "optimizer": "sgd"}
    made = Algorithm(
        objective=Wrong(), descent=hyper(**settings, slope=SPSA(epsilon=3.0, samples=4))
    )
    _, metrics = train(made, source, BANDIT.policy, KEY)
    still, _ = train(
        Algorithm(objective=Wrong(), descent=hyper(**settings)), source, BANDIT.policy, KEY
    )
    fresh = BANDIT.policy.init(jax.random.split(KEY)[0])
    np.testing.assert_allclose(still, fresh, atol=1e-7)
    assert metrics.loss[0] - metrics.loss[-1] > 0.2


def test_as_an_optax_transformation_it_descends_and_chains():
    loss = lambda x: jnp.sum((x["a"] - 1) ** 2) + jnp.sum((x["b"] + 2) ** 2)  # noqa: E731
    for slope in (SPSA(), Guided(first="spsa")):
        optimizer = optax.chain(
            zeroth_order(slope, KEY, every=50), optax.scale_by_adam(), optax.scale(-0.05)
        )
        params = {"a": jnp.zeros(3), "b": jnp.zeros((2, 2))}
        state = optimizer.init(params)

        @jax.jit
        def step(params, state, optimizer=optimizer):
            with jax.numpy_dtype_promotion("standard"):
                updates, state = optimizer.update(params, state, params, value_fn=loss)
                return optax.apply_updates(params, updates), state

        before = loss(params)
        for _ in range(300):
            params, state = step(params, state)
        assert loss(params) < 0.05 * before


def test_scalars_of_a_gradient_are_refused():
    with pytest.raises(mpo.RequestError, match=r"slope.keep.*slope.first"):
        Guided(keep=True)
    kept = dataclasses.replace(Guided(first="spsa"), keep=True)
    assert kept.keep
