"""Formulas of losses that nobody transcribed: what JAX computes, or a refusal in one line."""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy

import mpo
from llm_transfer.snippets import exporting
from llm_transfer.snippets.dialect import JAX
from llm_transfer.snippets.function import execute, function
from llm_transfer.snippets.parity import TOLERANCE, prove
from mpo.errors import RequestError
from mpo.expressions import expression
from mpo.expressions.primitives import ELEMENTWISE, REDUCTIONS, RUNNING
from mpo.expressions.tracing import Follower
from mpo.pytree import pytree
from mpo.settings import Number, number, switch


@jax.jit
def bump(gap):
    """Return a smooth step."""
    return jnp.tanh(gap) * jax.nn.sigmoid(gap)


@pytree
@dataclass(frozen=True, kw_only=True)
class Strange(mpo.Objective):
    """A loss with a branch, a margin of its own, and everything that a pair can have."""

    name: ClassVar = "strange"
    needs: ClassVar = ("ref_logp", "reward")
    beta: Number = number(0.3, above=0.0)
    steep: bool = switch(True)

    def loss(self, c, progress):
        ratio = c.logp - c.ref_logp
        gap = self.beta * (ratio[0] - ratio[-1])
        sure = jnp.where(gap > 1.0, jnp.log1p(jnp.maximum(gap, 0.0)), gap * jnp.log(2.0))
        wanted = jax.lax.stop_gradient(jnp.tanh(c.reward[0] - c.reward[-1]))
        spread = jnp.sum(jnp.square(jax.nn.softmax(c.reward) - jax.nn.softmax(self.beta * ratio)))
        pull = jnp.exp(-jnp.abs(gap)) if self.steep else gap
        fading = (1.0 - progress) * pull + bump(gap) * progress
        return jax.nn.softplus(-wanted * sure) + 0.5 * spread + fading - jnp.min(ratio) / 100.0


@pytree
@dataclass(frozen=True)
class Power(mpo.Potential):
    """A power of a probability."""

    power: Number = number(0.5, above=0.0)

    def fresh(self):
        return self

    def __call__(self, log_x, progress=0.0):
        return jnp.exp(self.power * jnp.minimum(log_x, 1.0)) + log_x


@pytest.mark.parametrize("to", ["torch", "jax", "numpy"])
@pytest.mark.parametrize("steep", [True, False])
@pytest.mark.sweep
def test_a_strangers_loss_is_exported_and_proven(to, steep):
    if to == "torch":
        pytest.importorskip("torch", reason="needs the [llm] extra")
    found = exporting.exported(Strange(steep=steep), to)
    assert {one.precision for one in found.parity} == {"float64", "float32"}
    for one in found.parity:
        assert one.value <= TOLERANCE[np.dtype(one.precision).type]
        assert (one.gradient is None) == (to == "numpy")
    assert "beta" in found.formula.constants
    assert [one.name for one in found.formula.definitions] == ["bump"]


def test_a_strangers_potential_is_traced_under_its_role():
    formula = expression(mpo.objective("mpo", psi=Power(0.7), phi_inv=Power(0.2)))
    assert [one.name for one in formula.definitions] == ["psi", "phi_inv"]


@pytest.mark.parametrize("temporal", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_network_traced_is_the_one_that_is_written_by_hand(temporal):
    """Nine units, a row of one each, moved away from where a network begins."""
    parts = {
        role: mpo.potential("network", role=role, temporal=temporal, units=9)
        for role in ("psi", "phi_inv")
    }
    flat, rebuild = mpo.ravel(mpo.objective("mpo", **parts))
    moved = rebuild(flat + 0.3 * jax.random.normal(jax.random.key(0), flat.shape, jnp.float32))
    for by_hand in (True, False):
        formula = expression(moved, by_hand=by_hand)
        assert prove(execute(function(formula, JAX)), JAX.name, moved)


def _refused(loss):
    kind = type("Own", (mpo.Objective,), {"name": "own", "loss": loss})
    with pytest.raises(RequestError) as refusal:
        expression(dataclass(frozen=True, kw_only=True)(kind)())
    assert str(refusal.value).count("\n") == 0
    return str(refusal.value)


def _until_small(self, c, progress):
    return jax.lax.while_loop(lambda x: x > 1.0, lambda x: x / 2.0, c.logp[0])


REFUSED = {
    "'sort'": lambda self, c, progress: jnp.sort(c.logp)[0],
    "'while'": _until_small,
    "shape [2]": lambda self, c, progress: c.logp,
    "Attempted boolean conversion": lambda self, c, progress: c.logp[0] if c.logp[0] > 0 else 0.0,
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_has_no_formula_is_refused_by_its_name(what):
    assert what in _refused(REFUSED[what])


OF_ONE = {
    name: getattr(jax.lax, name)
    for name in ELEMENTWISE
    if name in ("abs", "cos", "exp", "expm1", "log", "log1p", "logistic", "neg", "rsqrt", "sign",
                "sin", "sqrt", "square", "stop_gradient", "tanh")
}  # fmt: skip
OF_TWO = {"add": jnp.add, "sub": jnp.subtract, "mul": jnp.multiply, "div": jnp.divide,
          "max": jnp.maximum, "min": jnp.minimum, "pow": jnp.power}  # fmt: skip
OF_MANY = {
    "reduce_max": jnp.max, "reduce_min": jnp.min, "reduce_prod": jnp.prod, "reduce_sum": jnp.sum,
    "cummax": lambda x: jax.lax.cummax(x)[1], "cummin": lambda x: jax.lax.cummin(x)[1],
    "cumprod": lambda x: jax.lax.cumprod(x)[1], "cumsum": lambda x: jax.lax.cumsum(x)[1],
}  # fmt: skip
OF_CONDITIONS = {
    "reduce_and": lambda x, y: jnp.where(jnp.all(jnp.stack([x, y]) > 0.7), x, y),
    "reduce_or": lambda x, y: jnp.where(jnp.any(jnp.stack([x, y]) > 0.7), x, y),
    "and": lambda x, y: jnp.where((x > 0.5) & (y > 1.0), x, y),
    "or": lambda x, y: jnp.where((x > 0.5) | (y > 1.0), x, y),
    "not": lambda x, y: jnp.where(~(x >= y), x, y),
    "eq": lambda x, y: jnp.where(x == y, x, 2 * y),
    "ne": lambda x, y: jnp.where(x != y, x, 2 * y),
    "le": lambda x, y: jnp.where(x <= y, x, y),
    "lt": lambda x, y: jnp.where(x < y, x, y),
    "clamp": lambda x, y: jnp.clip(x, 0.1, 0.5) * y,
    "convert_element_type": lambda x, y: (x > y).astype(float) + x,
    "is_finite": lambda x, y: jnp.where(jnp.isfinite(x), x, y),
    "integer_pow": lambda x, y: x**3 + y,
    "copy": lambda x, y: jnp.copy(x) + y,
    "dot_general": lambda x, y: jnp.dot(jnp.stack([x, y]), jnp.array([2.0, 3.0])),
    "moves": lambda x, y: jnp.concatenate([jnp.stack([x, y])[::-1], jnp.pad(x[None], (0, 1))])[2],
    "logaddexp": lambda x, y: jnp.logaddexp(x, y),
    "log_softmax": lambda x, y: jax.nn.log_softmax(jnp.stack([x, y]))[0],
}  # fmt: skip
ALL = {
    **{name: lambda x, y, f=f: f(x) + y for name, f in OF_ONE.items()},
    **{name: lambda x, y, f=f: f(x, y) for name, f in OF_TWO.items()},
    **{name: lambda x, y, f=f: f(jnp.stack([x, y])) for name, f in OF_MANY.items()},
    **OF_CONDITIONS,
}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.sweep
def test_a_primitive_in_a_formula_is_what_jax_computes(name, x64):
    x, y = sympy.symbols("x y", real=True)
    found = Follower("it").trace(ALL[name], x, y)[()]
    for at in ((0.6, 1.3), (1.7, 0.4), (0.9, 0.9)):
        program = sympy.lambdify((x, y), _in_sympy(found), modules="mpmath")
        wanted = float(ALL[name](*map(jnp.asarray, at)))
        assert float(program(*at)) == pytest.approx(wanted, rel=1e-12), at


def _in_sympy(formula):
    """Return the formula in functions that sympy alone has."""
    from mpo.expressions.functions import logsigmoid, sigmoid, stop_gradient

    formula = formula.replace(logsigmoid, lambda x: -sympy.log(1 + sympy.exp(-x)))
    formula = formula.replace(sigmoid, lambda x: 1 / (1 + sympy.exp(-x)))
    return formula.replace(stop_gradient, lambda x: x)


def test_every_primitive_with_a_formula_was_tried():
    untried = {"add_any", "ge", "gt", "select_n"}  # in those of others
    assert {*ELEMENTWISE, *REDUCTIONS, *RUNNING} - untried <= set(ALL)


def test_a_formula_has_the_settings_it_was_given_and_nothing_else():
    found = expression(dataclasses.replace(Strange(), beta=0.7))
    assert found.constants == {"beta": 0.7}
