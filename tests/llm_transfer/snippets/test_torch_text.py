"""The PyTorch text where training takes it: compiled, in mixed precision, with odd numbers."""

import ast
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

import llm_transfer
import mpo
from llm_transfer.snippets.dialect import TORCH
from llm_transfer.snippets.function import execute, function
from mpo.expressions import expression

torch = pytest.importorskip("torch", reason="needs the [llm] extra")
pytestmark = pytest.mark.llm

SOME = ("orpo", "dpo", "wdpo", "basis, temporal", "networks, temporal")


@pytest.fixture(params=SOME)
def formula(request, cases):
    return expression(cases[request.param]())


def _batch(formula, dtype=torch.float64, shape=(5,)):
    """Return ordinary inputs, those of each row different."""
    rng = np.random.default_rng(0)
    draw = {
        "logp": lambda: -rng.uniform(5, 60, shape),
        "len_": lambda: rng.integers(5, 40, shape),
        "ref_": lambda: -rng.uniform(5, 60, shape),
        "rewa": lambda: rng.normal(size=shape),
        "samp": lambda: -rng.uniform(5, 60, shape),
        "cred": lambda: rng.normal(size=shape),
        "prog": lambda: np.array(0.25),
    }
    return {name: torch.tensor(draw[name[:4]](), dtype=dtype) for name in formula.inputs}


def _loss(formula):
    return execute(function(formula, TORCH))


def _with_gradients(loss, batch):
    batch = dict(batch)
    logp = [batch[name].clone().requires_grad_() for name in ("logp_w", "logp_l")]
    values = loss(**batch | dict(zip(("logp_w", "logp_l"), logp, strict=True)))
    return values.detach(), *torch.autograd.grad(values.sum(), logp, materialize_grads=True)


@pytest.mark.sweep
def test_gradients_are_those_of_the_values(formula):
    batch = _batch(formula)
    names = [name for name in formula.inputs if name.startswith(("logp", "ref_logp"))]
    inputs = tuple(batch[name].requires_grad_() for name in names)
    rest = {name: value for name, value in batch.items() if name not in names}
    loss = _loss(formula)
    assert torch.autograd.gradcheck(
        lambda *given: loss(**dict(zip(names, given, strict=True)), **rest), inputs
    )


@pytest.mark.sweep
def test_it_compiles_in_one_graph(formula):
    loss, batch = _loss(formula), _batch(formula)
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    for one, other in zip(
        _with_gradients(loss, batch), _with_gradients(compiled, batch), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what a compiler deprecates is no affair of ours
def test_it_compiles_to_machine_code(formula):
    loss, batch = _loss(formula), _batch(formula, torch.float32)
    for one, other in zip(
        _with_gradients(loss, batch), _with_gradients(torch.compile(loss), batch), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_narrow_inputs_are_computed_in_single_precision(formula):
    loss = _loss(formula)
    for narrow in (torch.bfloat16, torch.float16):
        batch = _batch(formula, narrow)
        values, *gradients = _with_gradients(loss, batch)
        wide = _with_gradients(loss, {name: value.float() for name, value in batch.items()})
        assert values.dtype == torch.float32
        torch.testing.assert_close(values, wide[0], rtol=0, atol=0)
        for one, other in zip(gradients, wide[1:], strict=True):
            assert one.dtype == narrow  # of the inputs, as autograd gives it
            torch.testing.assert_close(one.float(), other, rtol=1e-2, atol=1e-3)


def test_autocast_changes_nothing(formula):
    loss, batch = _loss(formula), _batch(formula, torch.float32)
    plain = _with_gradients(loss, batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = _with_gradients(loss, batch)
    for one, other in zip(plain, under, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.sweep
def test_numbers_that_are_none_are_read_as_the_header_says(objective):
    formula = expression(objective)
    loss, batch = _loss(formula), _batch(formula, shape=(4,))
    odd = torch.tensor([-torch.inf, torch.nan, torch.inf], dtype=torch.float64)
    for index, name in enumerate(("logp_w", "logp_l")):
        if name not in formula.free:  # SFT reads the chosen response alone
            continue
        values = torch.cat([odd, batch[name][3:]])
        finite = torch.cat([torch.tensor([-1e4], dtype=torch.float64), values[1:]])
        found, *gradients = _with_gradients(loss, batch | {name: values})
        expected, *_ = _with_gradients(loss, batch | {name: finite})
        assert torch.isnan(found).tolist() == [False, True, True, False]
        assert torch.equal(found[[0, 3]], expected[[0, 3]])
        assert gradients[index][0] == 0
        assert all(torch.isfinite(one[[0, 3]]).all() for one in gradients)


def test_any_shape_and_whole_numbers_for_lengths():
    loss = _loss(expression(mpo.objective("orpo")))
    log = -torch.rand(3, 4) * 20
    whole = loss(log, 2 * log, torch.full((3, 4), 7), torch.full((3, 4), 9))
    one = loss(log[1, 2], 2 * log[1, 2], torch.tensor(7.0), torch.tensor(9.0))
    assert whole.shape == (3, 4)
    assert whole.dtype == torch.float32
    torch.testing.assert_close(whole[1, 2], one)


def test_progress_may_be_a_number(cases):
    loss = _loss(expression(cases["networks, temporal"]()))
    logp, length = torch.tensor([-8.0]), torch.tensor([4.0])
    at = [float(loss(logp, 2 * logp, length, length, progress=p)) for p in (0, 0.5, 1.0)]
    assert len(set(at)) == 3
    assert at[0] == float(loss(logp, 2 * logp, length, length))
    torch.testing.assert_close(
        loss(logp, 2 * logp, length, length, progress=torch.tensor([0.5])), torch.tensor([at[1]])
    )


def test_it_is_mapped_and_differentiated_by_torch_func(formula):
    loss, batch = _loss(formula), _batch(formula)
    progress = {name: batch.pop(name) for name in list(batch) if name == "progress"}

    def of_one(logp_w, rest):
        return loss(logp_w=logp_w, **rest, **progress)

    rest = {name: value for name, value in batch.items() if name != "logp_w"}
    found = torch.func.vmap(torch.func.grad(of_one))(batch["logp_w"], rest)
    expected = _with_gradients(loss, batch | progress)[1]
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.sweep
def test_the_text_needs_torch_alone(tmp_path):
    file = tmp_path / "snippet.py"
    file.write_text(
        llm_transfer.export("orpo")
        + "\n\nimport sys\n"
        + "logp = [torch.tensor([-10.0]), torch.tensor([-30.0])]\n"
        + "value = loss(*logp, *[torch.tensor([10])] * 2)\n"
        + "others = {name.partition('.')[0] for name in sys.modules}\n"
        + "print(float(value), sorted(others & {'jax', 'mpo', 'llm_transfer', 'sympy'}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", str(file)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    value, others = done.stdout.split(maxsplit=1)
    pair = mpo.Comparison(logp=jnp.array([-10.0, -30.0]), length=jnp.array([10, 10]))
    assert float(value) == pytest.approx(float(mpo.objective("orpo")(pair)), rel=1e-5)
    assert set(ast.literal_eval(others)) <= {"sympy"}  # which torch may import


def test_simple_losses_are_short():
    for name, most in {"orpo": 12, "dpo": 9, "simpo": 11, "sft": 5, "ipo": 9}.items():
        text = function(expression(mpo.objective(name)), TORCH)
        (loss,) = (node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef))
        code = "\n".join(map(ast.unparse, loss.body[1:]))  # what follows the docstring
        assert len(code.split("\n")) <= most, code


@pytest.mark.sweep
def test_lines_fit_and_nothing_is_imported_in_vain(objective):
    text = function(expression(objective), TORCH)
    assert max(map(len, text.splitlines())) <= 100
    checked = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F,E9,W", "-"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
