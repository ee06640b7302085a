"""ZOPrO's Algorithm 1 on the small language: rounds of training a policy and refining its reward.

python docs/zopro_language.py        # what is not done yet; then prints the table

A round draws two responses to each prompt, scores them by a reward model, and descends the loss of
RLOO; then the judge of the language ranks fresh responses, which refine the reward model. The
first round goes by gradients, as the authors' code does. Those after it take two forward passes an
update, guided by the last round or not, at equal numbers of passes and responses; rates are tuned
on another seed and other prompts. Every cell is a line of results/zopro-language/results.jsonl.
"""

import functools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    logging,
)

from discovery.evidence.statistics import difference, number
from llm_transfer import language
from llm_transfer.experiment.sampling import Sampler, said, sample
from llm_transfer.trainers import Guide, Perturbation, PreferenceCollator, SeededDescent, change
from llm_transfer.trainers.likelihood import Likelihood
from llm_transfer.trainers.rows import encode, prepare

OUT = Path(__file__).resolve().parent / "results" / "zopro-language" / "results.jsonl"
SEEDS, TUNING = range(3), 1000
ROUNDS, BATCHES, PASSES, PROMPTS = 3, 6, 4, 32
"""Rounds, batches of a round, updates on each, prompts in one."""
BETA, CLIP = 0.05, 0.2
"""Of the penalty for leaving the base model, in standard deviations of the reward; RLOO's clip."""
HELD_OUT, FRESH = 256, 64
GRADIENT = 1e-4
"""AdamW's rate: of the first round, and of the reward model."""

ARMS: dict[str, Perturbation | None] = {
    "guided": Perturbation(epsilon=1.0),
    "MeZO": Perturbation(epsilon=1.0),
    "gradient": None,
}
RATES = {
    "guided": (1e-6, 3e-6, 1e-5, 3e-5),
    "MeZO": (1e-5, 3e-5, 1e-4, 3e-4),
    "gradient": (GRADIENT,),
}

Policy = Any  # a causal language model
RewardModel = Any  # a sequence classifier of one output
Batch = dict[str, Tensor]


class Cell(NamedTuple):
    """Rounds of one arm.

    Attributes:
      arm: a name of `ARMS`.
      rate: of the rounds after the first.
      seed: of prompts, responses and directions.
    """

    arm: str
    rate: float
    seed: int

    @property
    def split(self) -> str:
        """Where the prompts come from that the reward is measured on."""
        return "validation" if self.seed == TUNING else "test"


class World:
    """What all rounds share: the words, the base model, and the first reward model."""

    def __init__(self) -> None:
        self.folder = str(language.models("shipped").base)
        self.words = AutoTokenizer.from_pretrained(self.folder)
        self.collate = PreferenceCollator.of(self.words)
        self.sampler = Sampler(64, batch=256)
        self.base = self.policy()
        self.likelihood = Likelihood()
        self.begun: dict[int, Any] = {}  # what the first round of a seed left

    def policy(self) -> Policy:
        """Return the base model anew."""
        return AutoModelForCausalLM.from_pretrained(self.folder).eval()

    @functools.cached_property
    def first_judgement(self) -> dict[str, Tensor]:
        """The weights of the reward model that preference data gave."""
        torch.manual_seed(0)
        model = self.reward_model()  # its head is random
        self.refine(model, prepare(language.preferences(1000, "train"), self.words), passes=2)
        return model.state_dict()

    def reward_model(self) -> RewardModel:
        """Return a reward model that begins as the base model."""
        made = AutoModelForSequenceClassification.from_pretrained(self.folder, num_labels=1)
        made.config.pad_token_id = self.words.pad_token_id
        return made.eval()

    def prompts(self, split: str, count: int, seed: int = 0) -> list[str]:
        """Return prompts of a split."""
        return [row["prompt"] for row in language.preferences(count, split, seed=seed)]

    def draw(self, policy: Policy, prompts: list[str], seed: int) -> list[list[int]]:
        """Return the tokens of a response to each prompt."""
        return sample(policy, self.words, prompts, seed, self.sampler)

    def pairs(self, prompts: list[str], one: list, other: list) -> list[dict[str, Any]]:
        """Return rows of two responses each."""
        asked = [encode(prompt, self.words) for prompt in prompts]
        rows = zip(asked, one, other, strict=True)
        return [{"prompt_ids": p, "chosen_ids": a, "rejected_ids": b} for p, a, b in rows]

    def truth(self, prompts: list[str], responses: list[list[int]]) -> list[float]:
        """Return what the judge of the language finds."""
        pairs = zip(prompts, responses, strict=True)
        return [language.reward(p, said(p, tokens, self.words)) for p, tokens in pairs]

    def refine(self, model: RewardModel, rows: list[dict[str, Any]], passes: int = 1) -> None:
        """Train a reward model on rows of a better and a worse response, by Bradley and Terry."""
        optimizer = torch.optim.AdamW(model.parameters(), lr=GRADIENT)
        for start in [*range(0, len(rows), 32)] * passes:
            better, worse = scores(model, self.collate(rows[start : start + 32])).chunk(2)
            optimizer.zero_grad()
            (-logsigmoid(better - worse).mean()).backward()
            optimizer.step()


def scores(model: RewardModel, batch: Batch) -> Tensor:
    """Return the reward of each sequence, shape [2B]."""
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    return model(**inputs).logits[:, 0]


@torch.no_grad()
def advantages(world: World, model: RewardModel, batch: Batch, before: Tensor) -> Tensor:
    """Return how much better each response is than the other of its prompt, shape [2B]."""
    reward = scores(model, batch)
    reward = (reward - reward.mean()) / reward.std()
    reward = reward - BETA * (before - world.likelihood(world.base, batch).logp)
    one, other = reward.chunk(2)
    return torch.cat([one - other, other - one])


def descend(
    world: World, policy: Policy, model: RewardModel, cell: Cell, turn: int, guide: Guide | None
) -> tuple[list[str], list[list[int]], float | None]:
    """Train a policy for a round.

    Returns:
      The last prompts with their responses, and d cos²(Δπ, ∇J) at the beginning.
    """
    seed = 100 * cell.seed + turn
    prompts = world.prompts("train", BATCHES * PROMPTS, seed=seed + 1)
    how, worth = ARMS[cell.arm], None
    optimizer: Any = torch.optim.AdamW(policy.parameters(), lr=GRADIENT, weight_decay=0.0)
    if turn and how is not None:
        optimizer = SeededDescent(
            policy.named_parameters(),
            cell.rate,
            how,
            seed=seed,
            guide=guide if cell.arm.startswith("guided") else None,
            updates=BATCHES * PASSES,
        )
    for start in range(0, len(prompts), PROMPTS):
        part = prompts[start : start + PROMPTS]
        drawn = world.draw(policy, 2 * part, 10_000 * seed + start)
        batch = world.collate(world.pairs(part, drawn[: len(part)], drawn[len(part) :]))
        with torch.no_grad():
            before = world.likelihood(policy, batch).logp
        better = advantages(world, model, batch, before)

        def loss(batch: Batch = batch, before: Tensor = before, better: Tensor = better) -> Tensor:
            ratio = (world.likelihood(policy, batch).logp - before).exp()
            clipped = ratio.clamp(1 - CLIP, 1 + CLIP)
            return -torch.minimum(ratio * better, clipped * better).mean()

        if guide is not None and start == 0:
            worth = _worth(policy, loss, guide)
        for _ in range(PASSES):
            if isinstance(optimizer, SeededDescent):
                optimizer.step(loss)
            else:
                optimizer.zero_grad()
                loss().backward()
                optimizer.step()
    return part, drawn[: len(part)], worth


def _worth(policy: Policy, loss: Callable[[], Tensor], guide: Guide) -> float:
    """Return d cos²(Δπ, ∇J): guidance pays where it is above 1."""
    policy.zero_grad()
    loss().backward()
    slope = {name: weight.grad for name, weight in policy.named_parameters()}
    policy.zero_grad()
    return sum(map(Tensor.numel, slope.values())) * cosine(slope, guide.along) ** 2


def cosine(one: Any, other: Any) -> float:
    """Return the cosine of two trees of weights."""
    a, b = (torch.cat([tree[name].flatten() for name in one]) for tree in (one, other))
    return float(torch.cosine_similarity(a.double(), b.double(), dim=0))


def round_of(
    world: World, policy: Policy, model: RewardModel, cell: Cell, turn: int, guide: Guide | None
) -> tuple[dict[str, Any], Guide]:
    """Train a policy and refine its reward model; return what is known then, and the next guide."""
    begun, judged = (_kept(one) for one in (policy, model))
    clock = time.process_time()
    last, seen, worth = descend(world, policy, model, cell, turn, guide)
    seconds = time.process_time() - clock
    world.refine(model, _ranked(world, last, seen, world.draw(policy, last, cell.seed + 1)))
    moved = change(policy.state_dict(), begun)
    prompts = world.prompts(cell.split, HELD_OUT)
    drawn = world.draw(policy, prompts, 1_000_003)
    with torch.no_grad():
        batch = world.collate(world.pairs(prompts, drawn, drawn))
        kl = world.likelihood(policy, batch).logp - world.likelihood(world.base, batch).logp
    known = {
        "reward": float(np.mean(world.truth(prompts, drawn))),
        "kl": float(kl.mean()),
        "way": float(sum((leaf**2).sum() for leaf in moved.values()) ** 0.5),
        "alike": guide and cosine(moved, guide.along),
        "dcos2": worth,
        "seconds": seconds,
    }
    rounded = {n: value if value is None else float(f"{value:.5g}") for n, value in known.items()}
    return rounded, Guide(moved, change(model.state_dict(), judged))


def rounds(world: World, cell: Cell) -> list[dict[str, Any]]:
    """Return what is known after each round of a cell; the first one is that of its seed."""
    policy, model = world.policy(), world.reward_model()
    if cell.seed not in world.begun:
        model.load_state_dict(world.first_judgement)
        found = round_of(world, policy, model, cell, 0, None)
        world.begun[cell.seed] = (_kept(policy), _kept(model), *found)
    of_policy, of_model, first, guide = world.begun[cell.seed]
    policy.load_state_dict(of_policy)
    model.load_state_dict(of_model)
    known = [first]
    for turn in range(1, ROUNDS):
        found = round_of(world, policy, model, cell, turn, guide)
        guide = found[1]
        known.append(found[0])
    return known


def _ranked(world: World, prompts: list[str], one: list, other: list) -> list[dict[str, Any]]:
    """Return the pairs that the judge can tell apart, the better first."""
    found = []
    values = (world.truth(prompts, drawn) for drawn in (one, other))
    for row, a, b in zip(world.pairs(prompts, one, other), *values, strict=True):
        chosen, rejected = row["chosen_ids"], row["rejected_ids"]
        if a < b:
            chosen, rejected = rejected, chosen
        if a != b:
            found.append({**row, "chosen_ids": chosen, "rejected_ids": rejected})
    return found


def _kept(model: Any) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def results() -> dict[Cell, list[dict[str, Any]]]:
    """Return the cells that are done."""
    lines = OUT.read_text().splitlines() if OUT.exists() else []
    found = map(json.loads, lines)
    return {Cell(one["arm"], one["rate"], one["seed"]): one["rounds"] for one in found}


def best(done: dict[Cell, list[dict[str, Any]]], arm: str) -> float:
    """Return the rate with the highest reward after the last round, on the seed for tuning."""
    if len(RATES[arm]) == 1:
        return RATES[arm][0]
    return max(RATES[arm], key=lambda rate: done[Cell(arm, rate, TUNING)][-1]["reward"])


def cells() -> Iterator[Cell]:
    """Yield all cells; those that are reported when those that tune are done."""
    for arm, rates in RATES.items():
        yield from (Cell(arm, rate, TUNING) for rate in rates if len(rates) > 1)
    for seed in SEEDS:
        yield from (Cell(arm, best(results(), arm), seed) for arm in ARMS)


def measure() -> None:
    """Run what is not done yet."""
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    world = World()
    OUT.parent.mkdir(parents=True, exist_ok=True)
    for cell in cells():
        if cell in results():
            continue
        found = rounds(world, cell)
        with OUT.open("a") as file:
            file.write(json.dumps({**cell._asdict(), "rounds": found}) + "\n")
        print(cell, [one["reward"] for one in found], flush=True)


def said_of_rounds() -> str:
    """Return the table: the reward after each round, means over seeds."""
    done = results()
    names = [f"after round {turn + 1}" for turn in range(ROUNDS)]
    head = ["way", "rate", *names, "less MeZO's [95 %]", "KL", "d cos² of later rounds"]
    lines = [_line(head), _line(["---"] * len(head))]
    of = {arm: [done[Cell(arm, best(done, arm), seed)] for seed in SEEDS] for arm in ARMS}
    rewards = {arm: np.array([[r["reward"] for r in one] for one in of[arm]]) for arm in ARMS}
    for arm, each in of.items():
        gap = difference(rewards[arm][:, -1], rewards["MeZO"][:, -1])
        interval = f"{number(gap.mean)} [{number(gap.low)}, {number(gap.high)}]"
        worth = [number(np.mean([one[turn]["dcos2"] for one in each])) for turn in range(1, ROUNDS)]
        lines.append(
            _line(
                [
                    arm,
                    f"{best(done, arm):g}",
                    *map(number, rewards[arm].mean(0)),
                    "" if arm == "MeZO" else interval,
                    number(np.mean([one[-1]["kl"] for one in each])),
                    ", ".join(worth),
                ]
            )
        )
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    measure()
    print(said_of_rounds())
