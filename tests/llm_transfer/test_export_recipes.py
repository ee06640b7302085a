"""What docs/export.md shows is what is printed, and its recipes run."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest

import llm_transfer

torch = pytest.importorskip("torch", reason="needs the [llm] extra")
pytestmark = pytest.mark.llm

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "export.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def _program(text):
    return text[text.index("import torch") :]


@pytest.fixture
def snippets(tmp_path, monkeypatch):
    """Put the exported losses where the recipes import them from."""
    for name in ("orpo", "dpo"):
        (tmp_path / f"{name}_loss.py").write_text(llm_transfer.export(name))
        monkeypatch.delitem(sys.modules, f"{name}_loss", raising=False)
    monkeypatch.syspath_prepend(tmp_path)


def _block(word):
    (found,) = (block for block in BLOCKS if word in block)
    namespace: dict[str, Any] = {}
    exec(compile(found, "docs/export.md", "exec"), namespace)
    return namespace


def test_the_page_shows_what_is_printed():
    shown, text = BLOCKS[0], llm_transfer.export("orpo")
    assert _program(shown) == _program(text)
    assert shown.splitlines()[:9] == text.splitlines()[:9]


def test_the_module_for_openrlhf(snippets):
    module = _block("PairLoss")["PairLoss"]()
    sums = [torch.tensor([-10.0, -20.0]) - n for n in range(4)]
    sums[0].requires_grad_()
    loss, chosen, rejected = module(*sums)
    loss.backward()
    assert loss.shape == ()
    assert chosen.tolist() == rejected.tolist() == [2.0, 2.0]
    assert (sums[0].grad < 0).all()


@pytest.mark.filterwarnings("ignore")  # what transformers and trl say of each other
def test_the_trainer_for_trl(snippets):
    pytest.importorskip("trl", reason="needs the [llm] extra")
    from transformers import LlamaConfig, LlamaForCausalLM

    compute_loss = _block("OrpoTrainer")["OrpoTrainer"].compute_loss
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=11, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
            num_attention_heads=2, initializer_range=0.5,
        )
    )  # fmt: skip
    ids = torch.randint(0, 11, (4, 9))
    mask = (torch.arange(9) >= 4).long().expand(4, 9).clone()
    mask[0, 8] = mask[2, 7:] = 0
    attention = torch.maximum(mask, (torch.arange(9) < 4).long())
    batch = {"input_ids": ids, "completion_mask": mask, "attention_mask": attention}
    found, out = compute_loss(None, model, batch, return_outputs=True)
    found.backward()

    each = llm_transfer.torch_loss("orpo")
    logp = torch.zeros(4, dtype=torch.float64)
    for row in range(4):
        for at in range(1, 9):
            if mask[row, at]:
                logp[row] += out.logits[row, at - 1].double().log_softmax(-1)[ids[row, at]]
    length = mask.sum(-1)
    wanted = each(logp[:2], logp[2:], len_w=length[:2], len_l=length[2:]).mean()
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-5)
    assert all(torch.isfinite(one.grad).all() for one in model.parameters())
