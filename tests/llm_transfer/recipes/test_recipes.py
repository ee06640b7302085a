"""Recipes are made for what a formula reads; the chunked loss is the loss; MLX's text is MLX."""

import ast
import functools
from pathlib import Path
from typing import Any

import pytest

import llm_transfer
from llm_transfer.snippets.dialect import MLX, TORCH
from llm_transfer.snippets.function import function
from llm_transfer.snippets.recipes import RECIPES
from mpo.errors import RequestError
from mpo.expressions import resolve

torch = pytest.importorskip("torch", reason="needs the [llm] extra")
pytestmark = pytest.mark.llm

LOSSES = ("orpo", "dpo", "dpo_norm", "rpo_bwd", "filtered_sft", "ta_mpo", "ppo", "reinforce")
# Of mlx.core, as of 0.32: what a formula may be printed with.
NAMES = {
    "abs", "array", "clip", "cos", "exp", "expm1", "float32", "full_like", "log", "log1p",
    "logaddexp", "maximum", "minimum", "nan", "nan_to_num", "sigmoid", "sign", "sin", "sqrt",
    "stop_gradient", "sum", "tanh", "where",
}  # fmt: skip


@functools.cache
def program_of(loss):
    formula = resolve(loss)
    return formula, function(formula, TORCH)


def text(loss, to):
    return RECIPES[to].write(*program_of(loss))


@pytest.mark.parametrize("to", RECIPES)
def test_a_recipe_is_python_of_lines_that_are_not_too_long(to):
    made = 0
    for loss in LOSSES:
        try:
            program = text(loss, to)
        except RequestError:
            continue
        ast.parse(program)
        assert all(len(line) <= 100 for line in program.splitlines())
        made += 1
    assert made >= 2


@pytest.mark.parametrize(
    ("loss", "to", "message"),
    [
        ("rpo_bwd", "openrlhf", "reads rewards, which OpenRLHF does not pass on"),
        ("rpo_bwd", "llama-factory", "reads rewards, which LLaMA-Factory does not pass on"),
        ("ta_mpo", "nemo-rl", "reads how far training is, which NeMo-RL does not pass on"),
        ("ppo", "trl", "is for those that are written in training"),
        ("grpo", "verl", "a reference, which verl does not pass on"),
        ("simpo", "verl", "compares two responses"),
    ],
)
def test_what_a_trainer_has_not_is_refused(loss, to, message):
    with pytest.raises(RequestError, match=message):
        text(loss, to)


def test_the_header_says_how_it_is_used_and_what_it_was_tried_with():
    words = " ".join(llm_transfer.export("dpo", "openrlhf").replace("#", " ").split())
    assert "recipe deepspeed my_loss.py" in words
    assert "tried openrlhf 0.11.2" in words
    assert "parity of `loss`, run in torch" in words


def test_where_there_is_no_reference_none_is_kept():
    assert "self.ref_model = None" in text("orpo", "trl")
    assert "def reference" in text("dpo", "trl")
    assert "self.ref_model = None" not in text("dpo", "trl")


@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize("loss", ["orpo", "dpo"])
def test_the_loss_in_chunks_is_the_loss(loss, size):
    namespace: dict[str, Any] = {"__name__": "chunked"}
    exec(compile(text(loss, "chunked"), "chunked", "exec"), namespace)
    torch.manual_seed(0)
    hidden = torch.randn(6, 7, 5, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(11, 5, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(11, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(0, 11, (6, 7))
    mask = (torch.arange(7) >= 2).repeat(6, 1)
    mask[1, 5:] = False
    each = (hidden @ weight.T + bias).log_softmax(-1).gather(-1, targets[..., None])[..., 0]
    sums, lengths = (each * mask).sum(-1), mask.sum(-1)
    reference = [torch.linspace(-9.0, -4.0, 6, dtype=torch.float64)] if loss == "dpo" else []
    second = reference[0].chunk(2) if reference else lengths.chunk(2)
    wanted = namespace["loss"](*sums.chunk(2), *second)
    found = namespace["chunked_loss"](hidden, weight, targets, mask, *reference, bias, size)
    torch.testing.assert_close(found, wanted)
    inputs = (hidden, weight, bias)
    slopes = (torch.autograd.grad(one.sum(), inputs) for one in (found, wanted))
    for one, other in zip(*slopes, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("loss", [*LOSSES, "wide", "discopop", "closed_form"])
def test_what_is_printed_for_mlx_is_in_mlx(loss):
    program = function(program_of(loss)[0], MLX)
    used = {
        node.attr
        for node in ast.walk(ast.parse(program))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "mx"
    }
    assert used <= NAMES
    assert "np." not in program


def test_nothing_stands_on_trainers_that_trl_may_take_away():
    for file in Path(llm_transfer.__file__).parent.rglob("*.py"):
        assert "trl.experimental" not in file.read_text(), file
    for loss in LOSSES[:6]:
        assert "experimental" not in text(loss, "trl")
