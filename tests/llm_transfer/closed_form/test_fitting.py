"""Closed forms: known formulas are found again, and the error is the error of the gradient."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy

import mpo
from discovery.closed_form import PAPER, fit
from discovery.closed_form.point import READABLE, T, Term, X
from discovery.closed_form.problem import Problem
from mpo.errors import RequestError
from mpo.objectives import MPO
from mpo.potentials import FUNCTIONS, BasisPotential
from tests.llm_transfer.closed_form.conftest import walk
from tests.refusals import Meant, refusal

FEW = ("log", "logit", "x", "log_sigmoid")
PSI = BasisPotential.of({"log": 0.3, "x": 0.4, "sigmoid": 0.3})
PHI = BasisPotential.of({"logit": 0.5, "softplus": 1.0, "square": 0.3})
FOUND = MPO(psi=PSI, phi_inv=PHI, lam=0.7)
LATE = dataclasses.replace(
    BasisPotential.of({"log": 0.2}), weight_end=BasisPotential.of({"log": 1.0}).weight
)


@pytest.fixture(scope="module")
def front(training):
    return fit(FOUND, training, terms=3)


def gradients(objective, trajectory):
    """Return ∂loss/∂log π of both responses, at every comparison that was visited."""
    v = trajectory.visited()

    def slopes(chosen, rejected, progress):
        def loss(logp):
            return objective(mpo.Comparison(logp=logp, length=jnp.ones(2)), progress)

        return jax.grad(loss)(jnp.stack([chosen, rejected]))

    return np.asarray(jax.jit(jax.vmap(slopes))(v.chosen, v.rejected, v.progress), float)


def weights(terms):
    return {term.function: (term.start, term.end) for term in terms}


def test_the_papers_form_is_found_again(training):
    known = mpo.objective("closed_form", alpha=0.7, beta=2.0, lam=3.0)
    front = fit(known, training, library=FEW)
    for point in (front[PAPER], front["closed_form_2"]):
        assert (weights(point.psi), weights(point.phi_inv)) == (
            {"log": (0.7, 0.7)},
            {"log": (2, 2)},
        )
        assert point.lam == 3.0
        assert point.error < 1e-6
        assert point.objective() == known
    assert [point.size for point in front.points] == [2, 1, 2]


def test_orpo_is_two_terms(training):
    best = fit(mpo.objective("orpo"), training, library=FEW).points[-1]
    assert weights(best.psi) == {"log": (1.0, 1.0)}
    assert weights(best.phi_inv) == {"logit": (1.0, 1.0)}
    assert best.error < 1e-6


@pytest.mark.sweep
def test_weights_may_change_with_progress(training):
    known = mpo.objective("mpo", psi=LATE, phi_inv=BasisPotential.of({"logit": 1.0}))
    front = fit(known, training, library=FEW)
    best = front["closed_form_2"]
    assert front.temporal
    assert weights(best.psi) == {"log": (0.2, 1.0)}
    assert weights(best.phi_inv) == {"logit": (1.0, 1.0)}
    assert best.error < 1e-6
    assert best.psi[0].formula() == (0.2 + 0.8 * T) * sympy.log(X)
    np.testing.assert_allclose(
        gradients(best.objective(), training), gradients(known, training), rtol=1e-4
    )


def test_an_end_that_does_not_show_is_zero(training):
    rising = dataclasses.replace(
        BasisPotential.of({"log": 0.0}), weight_end=BasisPotential.of({"log": 3.0}).weight
    )
    known = mpo.objective("mpo", psi=rising, phi_inv=BasisPotential.of({"logit": 1.0}))
    for point in fit(known, training, library=FEW).points:
        for term in (*point.psi, *point.phi_inv):
            least, most = sorted((term.start, term.end))
            assert least == 0 or least > 4e-4 * most
    best = fit(known, training, library=FEW)["closed_form_2"]
    assert weights(best.psi) == {"log": (0.0, 3.0)}
    assert str(best.formula("psi")) == "3*t*log(x)"


@pytest.mark.sweep
def test_the_error_is_that_of_the_gradient_of_the_loss(front, training):
    """Measured by differentiating the objectives themselves, in another precision."""
    true = gradients(FOUND, training)
    for point in front.points:
        off = gradients(point.objective(), training) - true
        measured = np.sqrt(np.mean(off**2) / np.mean(true**2))
        np.testing.assert_allclose(measured, point.error, rtol=1e-3, atol=1e-5)


def test_longer_is_nearer(front):
    _, *points = front.points
    sizes, errors = [p.size for p in points], [p.error for p in points]
    assert sizes == sorted(set(sizes))
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0.1
    assert errors[-1] < 0.02
    assert front[PAPER].error >= front["closed_form_2"].error


def test_no_other_weights_are_nearer(training):
    problem = Problem.of(FOUND, training.visited(), ("log", "logit", "x"), temporal=False)
    found = problem.solve((0, 2, 4))
    assert len(found.subset) == 3
    for factors in np.random.default_rng(1).uniform(0.97, 1.03, (30, 4)):
        moved = found.weights * factors[:3, None]
        assert problem.error(found.subset, moved, found.lam * factors[3]) > found.error


def test_every_closed_form_increases(front):
    at = jnp.linspace(-8.0, 3.0, 50)
    for point in front.points:
        for which in ("psi", "phi_inv"):
            values = np.asarray(jax.vmap(point.potential(which))(at))
            assert np.all(np.diff(values) >= 0)
            for term in getattr(point, which):
                assert term.start > 0


@pytest.mark.sweep
def test_it_is_fitted_where_training_lives():
    """ψ = x + log x / 20 is a logarithm to unlikely responses, and x to likely ones."""
    psi = BasisPotential.of({"x": 1.0, "log": 0.05})
    lonely = mpo.objective("mpo", psi=psi, phi_inv=BasisPotential.of({}), lam=0.0)
    best = {
        place: fit(lonely, walk(place, -5.0, drift=0.0, spread=0.1), terms=1, library=("x", "log"))
        for place in (-7.0, -0.5)
    }
    assert list(weights(best[-7.0]["closed_form_1"].psi)) == ["log"]
    assert list(weights(best[-0.5]["closed_form_1"].psi)) == ["x"]
    assert best[-7.0]["closed_form_1"].phi_inv == ()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_formulas_say_what_functions_do(name):
    value = sympy.lambdify((X, T), Term(name, 0.5, 2.0).formula(), "numpy")
    for x in (0.001, 0.2, 0.9):
        expected = 1.25 * float(FUNCTIONS[name](jnp.log(x)))
        assert value(x, 0.5) == pytest.approx(expected, rel=1e-4)
    assert READABLE.keys() == FUNCTIONS.keys()


def test_weights_have_three_digits(front):
    for point in front.points:
        for term in (*point.psi, *point.phi_inv):
            assert term.start == float(f"{term.start:.3g}")
        assert point.lam == float(f"{point.lam:.3g}")


@pytest.mark.slow
def test_the_same_request_gives_the_same_front(front, training):
    assert fit(FOUND, training, terms=3).points == front.points


def test_a_run_brings_its_trajectory(training, tmp_path):
    mpo.save(mpo.objective("orpo"), tmp_path / "objective")
    with pytest.raises(RequestError, match="give a trajectory"):
        fit(tmp_path, library=FEW)
    training.save(tmp_path / "trajectory.npz")
    assert fit(tmp_path, library=FEW, terms=1).points[0].size == 2


@pytest.mark.parametrize(
    ("objective", "options", "says"),
    [
        ("dpo", {}, "has no potentials"),
        ("orpo", {"library": ("log", "logg")}, Meant("log")),
        ("orpo", {"terms": 0}, "at least 1"),
    ],
)
def test_what_cannot_be_fitted_is_refused(objective, options, says, training):
    with refusal(says):
        fit(objective, training, **options)


def test_a_sketch_is_every_so_many_comparisons(training):
    problem = Problem.of(FOUND, training.visited(), ("log", "x"), temporal=False)
    whole = problem.solve((0, 2))
    sketch = problem.every(3)
    np.testing.assert_array_equal(sketch.pull, problem.pull[::3])
    assert sketch.chosen.shape == (-(-problem.points // 3), 2, 1)
    assert sketch.solve((0, 2)).error == pytest.approx(whole.error, rel=0.1)


def test_lambda_stays_where_nothing_feels_it(training):
    likelihood = MPO(psi=PSI, phi_inv=BasisPotential.of({}), lam=0.7)
    front = fit(likelihood, training, library=FEW, terms=1)
    assert {point.lam for point in front.points} == {0.7}
    assert all(point.phi_inv == () for point in front.points)
