"""What is saved is what is loaded: the same structure, loss and gradients, bit for bit."""

import dataclasses
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import mpo
from mpo.mirror import Numeric
from mpo.nonnegative import POSITIVITIES
from mpo.potentials import BasisPotential, NetworkPotential, Potential, kinds

TRIPLE = mpo.Comparison(
    logp=jnp.array([-3.0, -7.0, -11.5], jnp.float32),
    length=jnp.array([4, 5, 6]),
    ref_logp=jnp.array([-4.0, -6.0, -10.0], jnp.float32),
    reward=jnp.array([2.0, 1.0, -1.0], jnp.float32),
    sampled_logp=jnp.array([-2.0, -3.0, -4.0], jnp.float32),
    credit=jnp.array([1.0, 0.0, -1.0], jnp.float32),
)
NAMED = {
    "log": {"shift": 0.3},
    "logit": {},
    "euclidean": {"slope": 0.7},
    "tsallis": {"alpha": 1.3},
    "power": {"exponent": -0.3, "tangent": False},
    "link": {"kind": "hinge"},
    "exo_link": {"label_smoothing": 0.1},
    "discopop_link": {"tau": 0.3},
    "ropo_link": {"alpha": 3.0},
}
POTENTIALS = [
    *((name, settings) for name, settings in NAMED.items()),
    *(
        ("network", {"role": role, "units": units, "temporal": temporal, "positive": positive})
        for role, units, temporal, positive in [
            *(("psi", 18, temporal, name) for temporal in (False, True) for name in POSITIVITIES),
            ("phi_inv", 18, True, "shifted_log"),
            ("phi_inv", 126, False, "shifted_log"),
            ("psi", 126, True, "exp"),
        ]
    ),
    *(
        ("basis", {"role": role, "temporal": temporal, "positive": positive} | library)
        for library in ({}, {"library": ("signed_log", "log", "exp", "logit")})
        for role, temporal, positive in [
            ("psi", False, "shifted_log"),
            ("phi_inv", True, "exp"),
            ("psi", True, "softplus"),
        ]
    ),
]


def changed(tree, seed=0):
    """Move every number of a potential's arrays, so that none is where a fresh one starts."""
    vector, rebuild = ravel_pytree(tree)
    noise = np.random.default_rng(seed).normal(0, 0.1, vector.size)
    return rebuild(vector + jnp.asarray(noise, vector.dtype))


def saved_and_loaded(objective, folder):
    mpo.save(objective, folder / "it")
    return mpo.load(folder / "it").objective


def structure(tree) -> Any:
    return jax.tree.structure(tree)


def assert_same_tree(found, expected):
    assert structure(found) == structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert type(a) is type(b)
        np.testing.assert_array_equal(a, b)
        assert np.asarray(a).dtype == np.asarray(b).dtype


def assert_same_numbers(found, expected, comparison=TRIPLE, programs=1):
    """Compare losses and gradients of both, by one compiled program that both must fit."""

    def loss(objective, logp, progress):
        return objective(dataclasses.replace(comparison, logp=logp), progress)

    assert_same_function(loss, found, expected, comparison.logp, programs)


def assert_same_function(function, found, expected, at, programs=1):
    traces = []

    @jax.jit
    def numbers(thing, progress):
        traces.append(progress)
        return jax.value_and_grad(function, argnums=(0, 1))(thing, at, progress)

    for progress in (0.0, 0.6):
        here, there = numbers(found, progress), numbers(expected, progress)
        for a, b in zip(jax.tree.leaves(here), jax.tree.leaves(there), strict=True):
            np.testing.assert_array_equal(a, b)
    assert len(traces) == programs


def test_potentials_here_are_all_there_are():
    assert {name for name, _ in POTENTIALS} == set(mpo.POTENTIALS)


@pytest.mark.parametrize("name", mpo.OBJECTIVES)
@pytest.mark.sweep
def test_every_objective_comes_back_as_it_was(name, tmp_path):
    expected = mpo.objective(name)
    found = saved_and_loaded(expected, tmp_path)
    assert type(found) is type(expected)
    assert_same_tree(found, expected)
    assert_same_numbers(found, expected)


@pytest.mark.parametrize("name", mpo.OBJECTIVES)
@pytest.mark.sweep
def test_every_setting_comes_back_as_it_was(name, tmp_path):
    """Numbers near their defaults, as Python numbers and as arrays; switches turned over."""
    fresh = mpo.objective(name)
    for kind in (float, lambda number: jnp.asarray(number, jnp.float32)):
        other = {
            field.name: kind(value * 1.07)
            for field in dataclasses.fields(fresh)
            if isinstance(value := getattr(fresh, field.name), float)
        }
        expected = mpo.objective(name, **other, length_normalise=not fresh.length_normalise)
        assert_same_tree(saved_and_loaded(expected, tmp_path), expected)


@pytest.mark.parametrize(("name", "settings"), POTENTIALS)
@pytest.mark.sweep
def test_every_potential_comes_back_as_it_was(name, settings, tmp_path):
    one = mpo.potential(name, **settings)
    one = changed(one) if name in ("network", "basis") else one
    expected = mpo.objective("mpo", psi=one, phi_inv=changed(BasisPotential.of({"log": 1.0})))
    assert_same_tree(saved_and_loaded(expected, tmp_path), expected)
    expected = mpo.objective("mpo_ref", phi_inv=one)
    found = saved_and_loaded(expected, tmp_path)
    assert_same_tree(found, expected)
    assert_same_function(lambda f, x, t: f(x, t), found.phi_inv, one, jnp.asarray(-0.7))


def test_parameters_put_in_by_a_search_come_back(tmp_path):
    """`unravel` makes arrays also of the numbers of named potentials, weakly typed ones."""
    zeta, unravel = mpo.ravel(mpo.objective("mpo_ref", phi_inv=mpo.potential("tsallis")))
    expected = unravel(zeta * 1.1)
    assert isinstance(expected.phi_inv.alpha, jax.Array)
    found = saved_and_loaded(expected, tmp_path)
    assert_same_tree(found, expected)
    assert_same_numbers(found, expected, programs=2)


def learned():
    return changed(
        mpo.objective(
            "mpo",
            psi=mpo.potential("network", role="psi", units=18, temporal=True),
            phi_inv=mpo.potential("basis", role="phi_inv"),
        )
    )


def cast(tree, dtype):
    return jax.tree.map(lambda leaf: jnp.asarray(leaf).astype(dtype), tree)


def test_double_precision_is_rounded_once_where_it_is_loaded_in_single(tmp_path):
    with jax.enable_x64(True):
        expected = learned()
        assert expected.psi.bias.dtype == jnp.float64
        mpo.save(expected, tmp_path / "it")
        assert_same_tree(mpo.load(tmp_path / "it").objective, expected)
        rounded = cast(expected, jnp.float32)
    found = mpo.load(tmp_path / "it").objective
    assert_same_tree(found, jax.tree.map(jnp.asarray, rounded))
    assert_same_numbers(found, rounded)


def test_single_precision_is_exact_where_it_is_loaded_in_double(tmp_path):
    expected = learned()
    mpo.save(expected, tmp_path / "it")
    with jax.enable_x64(True):
        found = mpo.load(tmp_path / "it").objective
        double = jax.tree.map(
            lambda leaf: leaf.astype(jnp.float64) if isinstance(leaf, jax.Array) else leaf, expected
        )
        assert_same_tree(found, double)
        assert_same_numbers(found, double, cast(TRIPLE, jnp.float64))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_narrow_floats_are_widened_exactly(tmp_path, dtype):
    narrow = mpo.objective("mpo", psi=cast(learned().psi, dtype))
    found = saved_and_loaded(narrow, tmp_path)
    assert_same_tree(found.psi, cast(narrow.psi, jnp.float32))


@pytest.mark.parametrize("name", mpo.POTENTIALS)
def test_every_potential_has_a_class_and_a_fresh_one(name):
    settings = {"role": "psi"} if name in ("network", "basis") else {}
    one = mpo.potential(name, **settings)
    assert kinds()[name] is type(one)
    assert structure(one.fresh()) == structure(one)
    assert jax.tree.map(np.shape, one.fresh()) == jax.tree.map(np.shape, one)


def test_a_fresh_network_has_the_settings_of_the_one_it_is_made_of():
    one = NetworkPotential.orpo("phi_inv", 27, temporal=True, positive="exp")
    assert_same_tree(changed(one).fresh(), one)


# ---------------------------------------------------------------- what cannot be saved


def refused(objective, folder, words):
    with pytest.raises(mpo.RequestError, match=words) as error:
        mpo.save(objective, folder / "it")
    assert "\n" not in str(error.value)
    assert not list(folder.iterdir())


def test_a_batch_of_objectives_is_not_one(tmp_path):
    batch = jax.vmap(lambda k: mpo.objective("dpo", beta=k))(jnp.array([0.1, 0.2]))
    refused(batch, tmp_path, r"beta has shape \[2\], expected \[\] .*not a batch")
    basis = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), BasisPotential.of({"log": 1.0}))
    refused(mpo.objective("mpo", psi=basis), tmp_path, r"psi\.weight has shape \[2, 8\]")
    network = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), learned().psi)
    refused(mpo.objective("mpo", psi=network), tmp_path, r"psi\.slope has shape \[2, 9, 2\]")


@pytest.mark.parametrize("value", [jnp.nan, jnp.inf])
def test_numbers_that_are_not_finite_are_not_saved(tmp_path, value):
    one = learned()
    broken = dataclasses.replace(one.psi, bias=one.psi.bias.at[3, 1].set(value))
    refused(dataclasses.replace(one, psi=broken), tmp_path, r"psi\.bias has numbers .*not finite")


def test_what_has_no_name_is_not_saved(tmp_path):
    numeric = mpo.objective("mpo", psi=Numeric(mpo.potential("log")))
    refused(numeric, tmp_path, r"Numeric has no name .* mpo\.POTENTIALS")

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Own(mpo.Objective):
        name = "sft"

        def loss(self, c, progress):
            return c.logp[0]

    refused(Own(), tmp_path, r"Own has no name")


def test_what_is_no_setting_is_not_saved(tmp_path):
    refused(mpo.objective("dpo", beta=jnp.asarray(1)), tmp_path, "beta is of dtype int32")


# ---------------------------------------------------------------- a potential of one's own


def test_a_new_potential_needs_only_its_place_in_the_registry(tmp_path, monkeypatch):
    @mpo.pytree.pytree
    @dataclasses.dataclass(frozen=True)
    class Bent(Potential):
        knots: Any
        sharp: float = mpo.settings.number(2.0, above=0.0)
        kind: str = dataclasses.field(default="soft", metadata={"static": True})

        @classmethod
        def of(cls, count: int = 3) -> "Bent":
            return cls(jnp.zeros(count))

        def fresh(self):
            return Bent.of(np.size(self.knots))

        def __call__(self, log_x, progress=0.0):
            return log_x * self.sharp + jnp.sum(self.knots)

    one = Bent(jnp.array([1.0, 2.0]), sharp=0.5)
    monkeypatch.setitem(mpo.POTENTIALS, "bent", Bent.of)
    expected = mpo.objective("mpo", psi=one)
    mpo.save(expected, tmp_path / "it")
    assert_same_tree(mpo.load(tmp_path / "it").objective, expected)
    said = json.loads((tmp_path / "it.json").read_text())["objective"]["settings"]["psi"]
    assert said == {"name": "bent", "settings": {"sharp": 0.5, "kind": "soft"}}

    # It keeps no other kind when it is fresh, so another kind is nothing it could be checked by.
    other = mpo.objective("mpo", psi=dataclasses.replace(one, kind="hard"))
    with pytest.raises(mpo.RequestError, match="not of the kinds"):
        mpo.save(other, tmp_path / "other")

    monkeypatch.delitem(mpo.POTENTIALS, "bent")
    with pytest.raises(mpo.ArtifactError, match=r"it\.npz .*unknown potential 'bent'"):
        mpo.load(tmp_path / "it")
