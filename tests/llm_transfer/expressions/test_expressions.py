"""Formulas evaluated by sympy alone, and the numbers they show."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

import mpo
from mpo.errors import RequestError
from mpo.expressions import expression, in_double, look_up, resolve
from mpo.expressions.functions import logsigmoid, sigmoid
from mpo.nonnegative import POSITIVITIES, positivity
from mpo.objectives import MPO, OBJECTIVES
from mpo.potentials import BasisPotential, Log, Logit, Tsallis

AT = {
    "logp_w": -21.0, "logp_l": -33.5, "len_w": 12.0, "len_l": 15.0, "ref_logp_w": -24.0,
    "ref_logp_l": -30.25, "reward_w": 1.5, "reward_l": 0.75, "progress": 0.25,
    "sampled_logp_w": -21.125, "sampled_logp_l": -33.0, "credit_w": 1.5, "credit_l": -0.5,
}  # fmt: skip


def _by_sympy(formula):
    """Return the loss at `AT` to 30 digits, with every definition written out."""
    numbers = {sympy.Symbol(name, real=True): value for name, value in AT.items()}
    numbers |= {sympy.Symbol(n, real=True): value for n, value in formula.constants.items()}
    value = formula.expanded().rewrite(logsigmoid, "log")
    value = value.replace(logsigmoid, lambda x: -sympy.log(1 + sympy.exp(-x)))
    value = value.replace(sigmoid, lambda x: 1 / (1 + sympy.exp(-x)))
    return float(value.subs(numbers).evalf(30))


def _by_mpo(objective):
    def both(name):
        return jnp.array([AT[f"{name}_w"], AT[f"{name}_l"]])

    others = ("ref_logp", "reward", "sampled_logp", "credit")
    pair = mpo.Comparison(both("logp"), both("len"), **{name: both(name) for name in others})
    return float(in_double(objective)(pair, AT["progress"]))


@pytest.mark.parametrize(
    "name", [n for n, kind in OBJECTIVES.items() if n != "mpo" and not kind.whole]
)
@pytest.mark.sweep
def test_sympy_alone_computes_the_objective(name, x64):
    objective = mpo.objective(name)
    assert _by_sympy(expression(objective)) == pytest.approx(_by_mpo(objective), rel=1e-13)


def test_sympy_alone_computes_potentials_in_the_course_of_time(x64):
    weights = {"log": 0.5, "x": 0.25, "signed_sqrt": 1.0, "sqrt": 0.125, "log_sigmoid": 0.75}
    start = BasisPotential.of(weights, library=tuple(weights), temporal=True)
    end = dataclasses.replace(start, weight_end=start.weight * 1.5)
    objective = MPO(psi=end, phi_inv=Tsallis(1.5), lam=0.5)
    formula = expression(objective)
    assert formula.temporal
    assert _by_sympy(formula) == pytest.approx(_by_mpo(objective), rel=1e-13)


def test_inputs_are_those_that_are_needed():
    needs = {"sft": (), "simpo": ("len_w", "len_l"), "dpo": ("ref_logp_w", "ref_logp_l")}
    for name, others in needs.items():
        assert resolve(name).inputs == ("logp_w", "logp_l", *others)
    assert resolve("wdpo").reward
    assert not resolve("dpo").reward
    assert resolve("dpo", length_normalise=True).inputs == (
        "logp_w", "logp_l", "len_w", "len_l", "ref_logp_w", "ref_logp_l",
    )  # fmt: skip


def _basis(**of):
    return expression(MPO(psi=Log(), phi_inv=BasisPotential.of(**of))).definitions[-1].value


@pytest.mark.parametrize("positive", POSITIVITIES)
@pytest.mark.sweep
def test_a_weight_of_zero_vanishes_and_others_look_as_they_were_given(positive):
    weights = {"logit": 1.2, "x": 0.05, "signed_sqrt": 3.0}
    value = _basis(weights=weights, positive=positive)
    assert len(value.args) == 3
    assert sorted(map(float, value.atoms(sympy.Number))) == [0.05, 1.2, 3.0]
    alone = _basis(weights={"logit": 1.0}, positive=positive)
    assert str(alone) == "log_odds(log_x)"


def test_a_weight_that_does_not_change_has_no_progress():
    assert not expression(
        MPO(psi=Log(), phi_inv=BasisPotential.orpo("psi", temporal=True))
    ).temporal


@given(
    st.lists(st.floats(-1, 4.5, width=32), min_size=8, max_size=8), st.sampled_from([*POSITIVITIES])
)
def test_back_in_single_precision_a_weight_is_the_one_it_was(raw, positive):
    potential = BasisPotential(jnp.array(raw), None, positive=positive)
    doubled = in_double(MPO(psi=Log(), phi_inv=potential)).phi_inv.weight
    weight = positivity(positive).weight
    found = np.asarray(weight(jnp.asarray(doubled, jnp.float32)))
    wanted = np.asarray(weight(potential.weight))
    np.testing.assert_array_equal(found, np.where(wanted <= 2e-12, 0, wanted))


def test_single_precision_makes_up_no_digits():
    objective = mpo.objective("dpo", beta=jnp.float32(0.1))
    assert expression(objective).constants == {"beta": 0.1}


def test_a_batch_of_objectives_is_refused():
    many = jax.vmap(lambda beta: mpo.objective("dpo", beta=beta))(jnp.array([0.1, 0.2]))
    with pytest.raises(RequestError, match="'beta' holds 2 numbers"):
        expression(many)
    one = MPO(psi=Logit(), phi_inv=BasisPotential.orpo("phi_inv"))
    with pytest.raises(RequestError, match="a batch"):
        expression(jax.tree.map(lambda leaf: jnp.stack([jnp.asarray(leaf)] * 2), one))


def test_a_formula_takes_no_settings():
    with pytest.raises(RequestError, match="has its numbers in it"):
        look_up(resolve("dpo"), beta=0.2)
    assert look_up(mpo.objective("dpo"), beta=0.5).beta == 0.5
