"""Pretraining: writers of the small language learn it from texts, by maximum likelihood.

Those that ship were made, measured and written by

    python -m envs.language FOLDER

which takes about four minutes on one core.
"""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from envs import agents
from envs.agents import Agent, Provenance
from envs.language import corpus, texts
from envs.language.rules import PAD
from envs.language.task import BASE, EXPERT, Language
from mpo.pytree import pytree
from mpo.train.descent import Optimizer
from mpo.versions import versions

Report = Callable[[str, int, int, float], None]
"""Called with a writer's name, steps done, steps in all, and the loss in nats by token."""

INITIAL: Final = 5.0
"""What fresh weights are multiplied by: so narrow a model does not learn to copy from 0.02."""
EPISODES: Final = 2048
HALF: Final = "float16"


@dataclass(frozen=True)
class Recipe:
    """How a writer is made.

    Attributes:
      care, colour: least and greatest of the authors it reads.
      steps: of the optimizer.
      learning_rate: at its greatest.
      begins: name of the writer it starts from; `None` for fresh weights.
      batch: texts in a step.
      seed: of weights and texts.
    """

    care: corpus.Care
    colour: corpus.Care
    steps: int
    learning_rate: float
    begins: str | None = None
    batch: int = 32
    seed: int = 0


RECIPES: Final = {
    BASE: Recipe(care=(0.6, 1.0), colour=corpus.COLOUR, steps=1500, learning_rate=3e-3),
    EXPERT: Recipe(
        care=(0.9, 1.0), colour=(0.4, 0.9), steps=500, learning_rate=1e-3, begins=BASE, seed=1
    ),
}


def make(folder: Path, report: Report) -> dict[str, Path]:
    """Train and measure the writers, and write each to `folder` in half precision."""
    task = Language()
    made: dict[str, Any] = {}
    found: dict[str, Path] = {}
    for name, recipe in RECIPES.items():
        start = None if recipe.begins is None else made[recipe.begins]
        trained = pretrained(task, recipe, start, lambda *line, name=name: report(name, *line))
        made[name] = jax.tree.map(lambda leaf: leaf.astype(HALF).astype(leaf.dtype), trained)
        target = float(task.defaults.roles[name])
        measured = agents.measure(task, made[name], jax.random.key(recipe.seed), EPISODES)
        about = Provenance(
            task=task.name,
            backend="none",
            target=target,
            seed=recipe.seed,
            steps=recipe.steps,
            measured=measured,
            settings=dataclasses.asdict(recipe),
            versions=versions("jax", "jaxlib", "flax", "optax", "numpy"),
        )
        found[name] = folder / agents.file_name(task.name, target)
        agents.write(Agent(made[name], about), found[name], HALF)
    return found


def pretrained(
    task: Language, recipe: Recipe, start: Any, report: Callable[[int, int, float], None]
) -> Any:
    """Return the parameters of a writer.

    Args:
      task: whose policy it is of.
      recipe: what it reads, and for how long.
      start: parameters to start from; `None` for fresh ones.
      report: is called with steps done, steps in all, and the loss.
    """
    if start is None:
        fresh = task.policy.init(jax.random.key(recipe.seed))
        start = jax.tree.map(lambda leaf: INITIAL * leaf if leaf.ndim > 1 else leaf, fresh)
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, recipe.learning_rate, recipe.steps // 20, recipe.steps
    )
    optimizer = Optimizer(
        optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, b2=0.98))
    )

    @jax.jit
    def update(params: Any, state: Any, batch: "Texts") -> tuple[Any, Any, Array]:
        loss, gradient = jax.value_and_grad(_loss)(params, task, batch)
        return *optimizer.update(gradient, state, params), loss

    params, state = start, optimizer.init(start)
    read = _batches(task, recipe)
    for step in range(recipe.steps):
        params, state, loss = update(params, state, next(read))
        report(step + 1, recipe.steps, float(loss))
    return params


@pytree
@dataclass(frozen=True)
class Texts:
    """Prompts [B, 12] and stories [B, T], with their ends, filled up."""

    prompts: Int[Array, "batch 12"]
    stories: Int[Array, "batch T"]


def _batches(task: Language, recipe: Recipe) -> Iterator[Texts]:
    source = corpus.texts(recipe.care, recipe.seed, recipe.colour)
    while True:
        pairs = list(islice(source, recipe.batch))
        prompts = np.array([texts.tokens(prompt) for prompt, _ in pairs], np.int32)
        stories = np.array([texts.response(story, task.horizon) for _, story in pairs])
        yield Texts(jnp.asarray(prompts), jnp.asarray(stories))


def _loss(params: Any, task: Language, batch: Texts) -> Float[Array, ""]:
    steps = jax.vmap(task.policy.log_prob, (None, 0, 0))(params, batch.prompts, batch.stories)
    return -jnp.mean(steps, where=batch.stories != PAD)
