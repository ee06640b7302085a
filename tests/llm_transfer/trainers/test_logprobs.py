"""Chunked log-probabilities: equal to log_softmax, value and gradient, in less memory."""

import os
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch", reason="needs the [llm] extra")

from llm_transfer.trainers.logprobs import gather_logps, project_logps  # noqa: E402

pytestmark = pytest.mark.llm
BATCH, STEPS, VOCABULARY, WIDTH = 3, 7, 11, 5


def _plain(logits, targets, mask):
    return logits.log_softmax(-1).gather(-1, targets[..., None])[..., 0] * mask


def _drawn(dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    logits = (5 * torch.randn(BATCH, STEPS, VOCABULARY, dtype=dtype)).requires_grad_()
    targets = torch.randint(VOCABULARY, (BATCH, STEPS))
    return logits, targets, torch.rand(BATCH, STEPS) < 0.6


@pytest.mark.parametrize("budget", [1, VOCABULARY, 3 * VOCABULARY + 1, 10_000])
def test_gathered_is_log_softmax_value_and_gradient(budget):
    logits, targets, mask = _drawn()
    weight = torch.randn(BATCH, STEPS, dtype=torch.float64)
    ours, plain = gather_logps(logits, targets, mask, budget), _plain(logits, targets, mask)
    torch.testing.assert_close(ours, plain, rtol=1e-12, atol=1e-12)
    slopes = [torch.autograd.grad((x * weight).sum(), logits)[0] for x in (ours, plain)]
    torch.testing.assert_close(*slopes, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("budget", [1, 4 * VOCABULARY, 10_000])
def test_projected_is_log_softmax_value_and_gradient_of_states_and_head(budget):
    torch.manual_seed(0)
    head = torch.nn.Linear(WIDTH, VOCABULARY, dtype=torch.float64)
    hidden = torch.randn(20, WIDTH, dtype=torch.float64, requires_grad=True)
    targets, weight = torch.randint(VOCABULARY, (20,)), torch.randn(20, dtype=torch.float64)
    ours = project_logps(head, hidden, targets, VOCABULARY, budget)
    plain = _plain(head(hidden), targets, 1.0)
    torch.testing.assert_close(ours, plain, rtol=1e-12, atol=1e-12)
    inputs = (hidden, head.weight, head.bias)
    for one, other in zip(
        *(torch.autograd.grad((x * weight).sum(), inputs) for x in (ours, plain)), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)


def test_gradcheck():
    logits, targets, mask = _drawn()
    assert torch.autograd.gradcheck(lambda x: gather_logps(x, targets, mask, 20), logits)


def test_halves_are_summed_in_single_precision_and_their_gradient_stays_half():
    logits, targets, mask = _drawn(torch.bfloat16)
    ours = gather_logps(logits, targets, mask, 30)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, _plain(logits.float(), targets, mask))
    assert torch.autograd.grad(ours.sum(), logits)[0].dtype == torch.bfloat16


def test_a_token_of_probability_zero_is_minus_infinity_and_spoils_no_other_gradient():
    logits, targets, mask = _drawn()
    with torch.no_grad():
        logits[0, 0, targets[0, 0]] = -torch.inf
    ours = gather_logps(logits, targets, torch.ones_like(mask))
    assert ours[0, 0] == -torch.inf
    slope = torch.autograd.grad(torch.where(torch.isfinite(ours), ours, 0.0).sum(), logits)[0]
    assert torch.isfinite(slope).all()


def test_nothing_wanted_gives_zeros():
    logits, targets, mask = _drawn()
    ours = gather_logps(logits, targets, torch.zeros_like(mask))
    assert not ours.any()
    assert not torch.autograd.grad(ours.sum(), logits)[0].any()


_PEAK = """
import sys, torch
from llm_transfer.trainers import logprobs
torch.set_num_threads(1)
N, D, V = 1024, 16, 32768  # logits: 128 MiB
torch.manual_seed(0)
head, hidden = torch.nn.Linear(D, V, bias=False), torch.randn(N, D, requires_grad=True)
targets, mask = torch.randint(V, (N,)), torch.ones(N)
def most():  # of this program alone: ru_maxrss would remember the process that started it
    status = open("/proc/self/status").read()
    return int(status.split("VmHWM:")[1].split()[0]) / 2**10
def run(rows, budget):
    h, t = hidden[:rows], targets[:rows]
    if sys.argv[1] == "plain":
        out = head(h).log_softmax(-1).gather(-1, t[:, None])[:, 0]
    elif sys.argv[1] == "gather":
        out = logprobs.gather_logps(head(h), t, mask[:rows], budget)
    else:
        out = logprobs.project_logps(head, h, t, V, budget)
    out.sum().backward()
run(128, 2**21)  # what is loaded and set up once
before = most()
run(N, 2**21)
print(most() - before)
"""


def _peak(way):
    # Freed blocks go back to the system at once, so that the peak is of what was needed.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "1000000"}
    command = [sys.executable, "-c", _PEAK, way]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return float(ran.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.slow
def test_peak_memory_is_logits_and_their_gradient_or_neither():
    """In MiB above the start, each way in a process of its own; the logits are 128 MiB."""
    plain, gathered, projected = map(_peak, ("plain", "gather", "project"))
    assert plain > 300  # logits, log_softmax, and the gradient of each
    assert gathered < 250  # logits and their gradient, less what the warm-up held
    assert projected < 30
