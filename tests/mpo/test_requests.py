"""Wrong requests: each is one line that says what is wrong and what to write instead."""

import dataclasses
from typing import Any, cast

import jax
import jax.numpy as jnp
import pytest

import mpo
from mpo.errors import unknown
from mpo.objectives import DPO, ORPO
from mpo.potentials import Tsallis
from mpo.train import Algorithm, Descent

pytestmark = pytest.mark.usefixtures("as_users_have_it")

PAIR = {"logp": jnp.array([-1.0, -2.0]), "length": jnp.array([3, 4])}


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("dpoo", {}, r"unknown objective 'dpoo': did you mean 'dpo'\?"),
        ("DPO", {}, "known are .*cdpo"),
        ("dpo", {"betta": 1.0}, r"unknown setting of objective 'dpo' 'betta': did you mean 'beta'"),
        ("dpo", {"beta": 0.0}, "setting 'beta' of objective 'dpo' must be > 0, not 0.0"),
        ("dpo", {"beta": float("nan")}, "must be finite"),
        ("dpo", {"beta": "0.1"}, "must be a number, not '0.1'"),
        ("dpo", {"beta": True}, "must be a number"),
        ("dpo", {"beta": jnp.array([0.1, -0.1])}, "must be > 0"),
        ("cdpo", {"label_smoothing": 0.6}, "must be ≥ 0 and ≤ 0.5, not 0.6"),
        ("simpo", {"gamma": -1}, "must be ≥ 0"),
        ("orpo", {"length_normalise": 1}, "must be true or false"),
        ("mpo", {"psi": "log"}, "must be a Potential, not 'log'"),
    ],
)
def test_objectives_refuse_what_they_cannot_mean(name, settings, says):
    with pytest.raises(mpo.RequestError, match=says) as refused:
        mpo.objective(name, **settings)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("logg", {}, "did you mean 'log'"),
        ("tsallis", {"alpha": 1.0}, "must be > 0 and ≠ 1"),
        ("euclidean", {"slope": -2.0}, "must be > 0"),
        ("network", {}, "needs the setting 'role'"),
        ("network", {"role": "phi_in"}, "did you mean 'phi_inv'"),
        ("network", {"role": "psi", "units": 20}, "multiple of 9"),
        ("network", {"role": "psi", "positive": "square"}, "unknown positivity"),
        ("basis", {"role": "psi", "library": ("logit",)}, "unknown function of this library 'log'"),
    ],
)
def test_potentials_refuse_what_they_cannot_mean(name, settings, says):
    with pytest.raises(mpo.RequestError, match=says):
        mpo.potential(name, **settings)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: DPO(beta=-1.0), "beta"),
        (lambda: dataclasses.replace(ORPO(), lam=float("inf")), "lam"),
        (lambda: Tsallis(alpha=1.0), "alpha"),
        (lambda: Descent(batch=0), "batch"),
        (lambda: Descent(updates=5, epochs=1), "updates"),
        (lambda: Algorithm(objective=cast(Any, "dpo")), "objective"),
    ],
)
def test_a_class_refuses_whoever_makes_one(make, name):
    with pytest.raises(mpo.RequestError, match=name):
        make()


def test_a_missing_field_is_named_before_anything_is_computed():
    with pytest.raises(mpo.RequestError, match="objective 'dpo' needs 'ref_logp'"):
        mpo.objective("dpo")(mpo.Comparison(**PAIR))
    with pytest.raises(mpo.RequestError, match="objective 'wdpo' needs 'reward'"):
        jax.jit(mpo.objective("wdpo"))(mpo.Comparison(**PAIR, ref_logp=PAIR["logp"]))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"logp": jnp.zeros((4, 2)), "length": jnp.ones((4, 2))},
            "apply it to a batch with jax.vmap",
        ),
        ({"logp": jnp.zeros(1), "length": jnp.ones(1)}, "K ≥ 2"),
        ({"length": jnp.ones(3)}, r"'length' has shape \[3\] and logp has \[2\]"),
        ({"ref_logp": jnp.zeros(())}, "'ref_logp' has shape"),
        ({"logp": jnp.array([1, 2])}, "floating dtype"),
    ],
)
def test_comparisons_of_the_wrong_shape_are_refused(change, says):
    with pytest.raises(mpo.RequestError, match=says):
        mpo.objective("orpo")(mpo.Comparison(**(PAIR | change)))


def test_settings_may_be_traced():
    def loss(beta):
        c = mpo.Comparison(**PAIR, ref_logp=PAIR["logp"] + 1)
        return mpo.objective("dpo", beta=beta)(c)

    assert jax.jit(loss)(0.3) == loss(0.3)


def test_a_refusal_of_a_setting_knows_the_name_it_is_about():
    with pytest.raises(mpo.RequestError) as refused:
        Descent(schedule="cosin")
    error = refused.value
    assert (error.name, error.suggestion) == ("cosin", "cosine")
    assert "cosine" in error.known
    assert str(error).startswith("setting 'schedule' of the inner loop is unknown name 'cosin': ")


def test_only_a_close_name_is_suggested():
    assert "did you mean" not in str(unknown("task", "zzz", ["hopper", "ant"]))
    error = unknown("task", "hoper", ["hopper", "ant"])
    assert (error.kind, error.name, error.known) == ("task", "hoper", ("ant", "hopper"))
    assert (error.suggestion, unknown("task", "zzz", ["hopper"]).suggestion) == ("hopper", None)
    assert str(unknown("task", "hoper", ["hopper", "ant"])) == (
        "unknown task 'hoper': did you mean 'hopper'? known are ant, hopper"
    )
