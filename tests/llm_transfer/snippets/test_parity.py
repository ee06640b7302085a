"""Every snippet computes its objective, and one that does not is refused."""

import jax
import numpy as np
import pytest
import sympy

import mpo
from llm_transfer.snippets import parity
from llm_transfer.snippets import parity as evaluation
from llm_transfer.snippets.dialect import JAX, TORCH
from llm_transfer.snippets.function import execute, function
from llm_transfer.snippets.parity import points
from llm_transfer.snippets.printers import Jax
from mpo.expressions import expression
from mpo.objectives import MPO
from mpo.potentials import FUNCTIONS, BasisPotential

torch = pytest.importorskip("torch", reason="needs the [llm] extra")

from llm_transfer.snippets.torch_printer import Torch  # noqa: E402

pytestmark = pytest.mark.llm


def _proven(objective, dialect):
    formula = expression(objective)
    return parity.prove(execute(function(formula, dialect)), dialect.name, objective)


@pytest.mark.sweep
def test_every_objective_is_the_same_in_torch(objective):
    double, single = _proven(objective, TORCH)
    assert (double.precision, single.precision) == ("float64", "float32")
    assert max(double.value, double.gradient) <= 1e-12
    assert max(single.value, single.gradient) <= 1e-5
    assert double.ill + double.beyond < double.points / 4


@pytest.mark.sweep
def test_a_formula_in_double_is_the_objective_it_was_made_from(objective):
    """`in_double` moves numbers by less than single precision shows."""
    formula = expression(objective)
    at = {name: values[:640] for name, values in points(formula).items()}  # without the edges
    per_token = np.abs(at["logp_w"]) / np.maximum(at.get("len_w", 1), 1)
    at = {name: values[per_token < 100] for name, values in at.items()}
    snippet = evaluation.of_jax(execute(function(formula, JAX)), at, np.float64)
    with jax.enable_x64(True):
        as_given = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), objective)
    exact = evaluation.of_objective(as_given, at, np.float64)
    for found, wanted in zip(snippet, exact, strict=True):
        finite = np.isfinite(wanted)
        assert finite.mean() > 0.9
        np.testing.assert_allclose(found[finite], wanted[finite], rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize(
    "name", ["orpo", "rpo_bwd", pytest.param("networks, temporal", marks=pytest.mark.slow)]
)
def test_the_same_in_jax(name, request):
    from_registry = request.getfixturevalue("cases")[name]()
    double, _ = _proven(from_registry, JAX)
    assert max(double.value, double.gradient) <= 1e-12


def _altered(dialect, **changes):
    """Return the printed loss of ORPO with some of its text replaced."""
    text = function(expression(mpo.objective("orpo")), dialect)
    for old, new in changes.values():
        assert old in text
        text = text.replace(old, new)
    return execute(text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return -log_pi_w", "return 1e-10 - log_pi_w"),  # only double precision shows it
        ("return -log_pi_w", "return -log_pi_w.detach()"),  # only the gradient
        ("-0.0010005003335835335", "-0.0005"),  # only at one edge
        ("neginf=-10000.0", "neginf=-10000.0).clamp(min=-9999"),  # only far out
        (".clamp(min=1)", ""),  # only for an empty response
        ("return -log_pi_w", "return torch.nan * log_pi_w - log_pi_w"),
        ("F.logsigmoid(", "torch.log(torch.sigmoid("),
    ],
)
def test_a_snippet_that_is_off_is_refused(old, new):
    if new.endswith("sigmoid("):  # underflows
        altered = _altered(TORCH, log=(old, new), end=("(log_pi_l))", "(log_pi_l)))"))
    else:
        altered = _altered(TORCH, one=(old, new))
    with pytest.raises(parity.ParityError, match="does not compute its objective in float"):
        parity.prove(altered, "torch", mpo.objective("orpo"))


def test_a_printer_that_errs_is_refused(monkeypatch):
    monkeypatch.setitem(Jax._kf, "logsigmoid", "jax.nn.sigmoid")
    with pytest.raises(parity.ParityError, match="jax snippet of 'orpo'"):
        _proven(mpo.objective("orpo"), JAX)


def test_a_proof_needs_points_to_compare(monkeypatch):
    far = {name: np.full(8, -1e300) for name in ("logp_w", "logp_l")}
    monkeypatch.setattr(
        parity,
        "points",
        lambda formula: far | {"len_w": 1 + 0 * far["logp_w"], "len_l": 1 + 0 * far["logp_l"]},
    )
    with (
        pytest.raises(parity.ParityError, match="cannot be compared"),
        np.errstate(all="ignore"),
    ):
        _proven(mpo.objective("simpo"), JAX)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.sweep
def test_slopes_are_continuous_through_certainty_in_either_text(name):
    """A saturated softmax gives log π = 0 exactly."""
    one = BasisPotential.of({name: 1.0}, library=(name,))
    formula = expression(MPO(psi=one, phi_inv=one))
    around = np.array([-1e-9, 0.0, 1e-9])
    at = {"logp_w": around, "logp_l": 0 * around, "len_w": 1 + 0 * around, "len_l": 1 + 0 * around}
    found = [
        evaluate(execute(function(formula, dialect)), at, np.float64).gradients
        for evaluate, dialect in ((evaluation.of_jax, JAX), (evaluation.of_torch, TORCH))
    ]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found[0], found[0][[1, 1, 1]], rtol=1e-7, atol=1e-8)


def test_a_maximum_of_several_is_taken_two_at_a_time():
    symbols = a, b, c = [sympy.Symbol(name, real=True) for name in "abc"]
    largest = sympy.Max(a, b, c, -1)
    numbers = [np.array(x) for x in ([3.0, -5.0, 0.0], [1.0, -2.0, 4.0], [2.0, -3.0, 5.0])]
    assert Jax().doprint(largest).count("jnp.maximum(") == 3
    text = Torch().doprint(largest)
    names = {str(symbol): torch.tensor(x) for symbol, x in zip(symbols, numbers, strict=True)}
    assert eval(text, {"torch": torch} | names).tolist() == [3.0, -1.0, 5.0]


def test_a_formula_alone_is_compared_with_itself_in_jax():
    formula = expression(mpo.objective("wdpo"))
    double, _ = parity.prove(execute(function(formula, TORCH)), "torch", formula)
    assert 0 < max(double.value, double.gradient or 0.0) <= 1e-12


def test_points_meet_every_branch():
    at = points(expression(mpo.objective("orpo")))
    log_pi = at["logp_w"] / np.maximum(at["len_w"], 1)
    assert log_pi.min() == -1e4
    assert log_pi.max() == 10
    assert np.log1p(-1e-3) in log_pi
    assert {0.0, -1e-12, 1e-6} <= set(log_pi)
    assert 0 in at["len_w"]
    assert np.mean(log_pi == at["logp_l"] / np.maximum(at["len_l"], 1)) > 0.01  # ties
