"""Agents trained one after another by a plain PyTorch loop, to compare the inner loop with.

    python -m benchmarks.torch_loop agents.npz

The file holds minibatches, a network to start from, and numbers by the names of `Problem`'s
fields; `benchmarks.pytorch` writes it. What is trained is what `mpo.train` trains under ORPO: the
same items in the same order, the same Gaussian policy, Adam, and clipped gradients.
"""

import argparse
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

HEADROOM = 1e-3  # 1 - p is never taken below it, as in `mpo.logspace`


@dataclass(frozen=True)
class Problem:
    """What an agent is trained on, and where it starts.

    Attributes:
      inputs: observations of every item, winner first, [items, 2, L, O].
      outputs: actions, [items, 2, L, A].
      mask: which steps count, [items, 2, L].
      order: the items of each update, [updates, B].
      kernels, biases: of the layers of the network.
      log_std: of the actions.
      observation_mean, observation_std: the normaliser, which is not trained.
      learning_rate: of Adam.
      max_gradient_norm: longer gradients are shortened to it; 0 leaves them alone.
    """

    inputs: Tensor
    outputs: Tensor
    mask: Tensor
    order: Tensor
    kernels: list[Tensor]
    biases: list[Tensor]
    log_std: Tensor
    observation_mean: Tensor
    observation_std: Tensor
    learning_rate: Tensor
    max_gradient_norm: Tensor

    @classmethod
    def load(cls, path: Path, device: str) -> "Problem":
        """Read a file; the layers are numbered, such as `kernels.0`."""
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: torch.as_tensor(file[name], device=device) for name in file.files}
        layers = range(sum(name.startswith("kernels.") for name in arrays))
        found: dict[str, Any] = {
            name: [arrays.pop(f"{name}.{layer}") for layer in layers]
            for name in ("kernels", "biases")
        }
        return cls(**found | arrays)


class Agent(nn.Module):
    """π(a|s) = N(a; μ(s), diag(e^{2 log_std})), μ a tanh network of the normalised observation."""

    def __init__(self, problem: Problem) -> None:
        """Start from the weights of `problem`."""
        super().__init__()
        self.kernels = nn.ParameterList([kernel.clone() for kernel in problem.kernels])
        self.biases = nn.ParameterList([bias.clone() for bias in problem.biases])
        self.log_std = nn.Parameter(problem.log_std.clone())
        self.centre, self.spread = problem.observation_mean, problem.observation_std

    def log_prob(self, observation: Tensor, action: Tensor) -> Tensor:
        """Return log π(a|s) of each step."""
        x = (observation - self.centre) / self.spread
        *hidden, last = zip(self.kernels, self.biases, strict=True)
        for kernel, bias in hidden:
            x = torch.tanh(x @ kernel + bias)
        scaled = (action - (x @ last[0] + last[1])) * torch.exp(-self.log_std)
        return (-0.5 * scaled**2 - self.log_std - 0.5 * math.log(2 * math.pi)).sum(-1)


def orpo(chosen: Tensor, rejected: Tensor) -> Tensor:
    """Return -log π_w - log σ(log odds π_w - log odds π_l) of per-step log-probabilities."""
    return -chosen - functional.logsigmoid(log_odds(chosen) - log_odds(rejected))


def log_odds(logp: Tensor) -> Tensor:
    """Return log(p / (1 - p)), with 1 - p never below `HEADROOM`."""
    return logp - torch.log(-torch.expm1(logp.clamp(max=math.log1p(-HEADROOM))))


def train(problem: Problem, updates: int | None = None) -> Agent:
    """Train an agent for all updates of the problem, or for the first of them."""
    agent = Agent(problem)
    optimizer = torch.optim.Adam(agent.parameters(), lr=float(problem.learning_rate))
    limit = float(problem.max_gradient_norm)
    for items in problem.order[:updates]:
        mask = problem.mask[items]
        steps = agent.log_prob(problem.inputs[items], problem.outputs[items])
        logp = torch.where(mask, steps, 0.0).sum(-1) / mask.sum(-1)
        loss = orpo(logp[:, 0], logp[:, 1]).mean()
        optimizer.zero_grad()
        loss.backward()
        if limit:
            nn.utils.clip_grad_norm_(agent.parameters(), limit)
        optimizer.step()
    if problem.inputs.is_cuda:
        torch.cuda.synchronize()
    return agent


def main() -> None:
    """Train agents one after another, and print as JSON the seconds that each took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("problem", type=Path, help="the file")
    parser.add_argument("--agents", type=int, default=1, help="how many")
    parser.add_argument("--threads", type=int, help="of the CPU; by default as PyTorch decides")
    parser.add_argument("--out", type=Path, help="npz to write the last agent's parameters to")
    asked = parser.parse_args()
    if asked.threads:
        torch.set_num_threads(asked.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    problem = Problem.load(asked.problem, device)
    agent, seconds = train(problem, updates=1), []  # the first update sets PyTorch up
    for _ in range(asked.agents):
        begin = time.perf_counter()
        agent = train(problem)
        seconds.append(time.perf_counter() - begin)
    if asked.out:
        trained = {name: value.detach().cpu().numpy() for name, value in agent.named_parameters()}
        np.savez(asked.out, allow_pickle=False, **trained)
    about = {"device": device, "threads": torch.get_num_threads(), "torch": torch.__version__}
    print(json.dumps({"seconds": seconds} | about))


if __name__ == "__main__":
    main()
