"""From names to a dataset: what the task does by default, agents by name, and the cache."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from envs import registry
from envs.base import Params, Spreading, Task
from envs.data import archive, generate
from envs.data.cache import cached
from envs.data.dataset import About, Dataset, load
from envs.data.judging import ranker
from envs.data.recipe import Author, Recipe, settings_of
from envs.data.recipe import kind as kind_named
from mpo import treefile
from mpo.errors import RequestError
from mpo.versions import versions

PACKAGES = ("preference-discovery", "jax", "jaxlib", "brax", "numpy")
"""Those that decide the numbers of a dataset."""

Report = Callable[[int, int], None]
"""Called with the rows done and the rows in all."""


@dataclass(frozen=True)
class Plan:
    """A recipe with what its names stand for; its judge goes by `grade`, if not by the truth."""

    recipe: Recipe
    task: Task
    agents: tuple[Params, Params]
    grade: Callable[..., Any] | None = None

    def write(self, path: Path, report: Report = lambda done, rows: None) -> None:
        """Make the dataset, chunk by chunk, into a file that appears when it is whole."""
        recipe = self.recipe
        about = About(
            task=recipe.task,
            agents=(recipe.expert.name, recipe.reference.name),
            vocabulary=getattr(self.task.policy, "vocabulary", None),
            recipe=recipe,
            versions=versions(*PACKAGES) | {"device": jax.devices()[0].device_kind},
        )
        layout = generate.layout(self.task, recipe, self.agents[0])
        with archive.writing(path, layout, about.as_json()) as writer:
            done = 0
            report(done, recipe.rows)
            for rows in generate.chunks(self.task, recipe, self.agents, grade=self.grade):
                writer.append(rows)
                done += len(rows["length"])
                report(done, recipe.rows)


def plan(
    task: str = "hopper",
    kind: str = "base",
    *,
    rows: int | None = None,
    responses: int = 2,
    expert: str = "expert",
    reference: str | None = None,
    judge: str | None = None,
    temperature: float | None = None,
    flip: float | None = None,
    exact: bool | None = None,
    spread: float | None = None,
    share: float | None = None,
    seed: int = 0,
    **settings: Any,
) -> Plan:
    """Check a request, and return what would be made. Nothing is simulated or written.

    Args:
      task: name of the task.
      kind: name of the kind (`envs.data.KINDS`), or several at once, "noisy+scarce".
      rows: comparisons; by default as many as in the paper.
      responses: K, the responses that each comparison ranks.
      expert: the agent in that role: a level of the task's agents, an agent of another
        task ("ant/6000"), or the path of one you trained. A file that is called like a
        level is meant by its path, "./expert".
      reference: the agent in that role.
      judge: a temperature level: perfect, low, medium or high; or the place of a function that it
        goes by in place of the true returns, "FILE.py:FUNCTION" (see `envs.data.judging`).
      temperature: the judge's temperature itself, in units of return, or of what the function says.
      flip: share of the rankings that are reversed.
      exact: whether exactly that share is, rounded to whole rows, as by default where any is; if
        not, a coin is tossed for each.
      spread: log-std of all authors' actions, in place of their own; of tasks whose actions
        spread around a mean.
      share: of the rows that have the expert at all, exactly; by default that of the kind. Both
        responses of the others are the reference's.
      seed: of all that is random.
      **settings: of the task, such as `horizon`.
    """
    if rows is not None and rows < 1:
        raise RequestError(f"rows must be at least 1, not {rows}")
    chosen = kind_named(kind)
    made = registry.task(task, **settings)
    defaults = made.defaults
    least = defaults.reference or next(iter(made.agents()), "expert")
    rival = reference or (chosen.close and defaults.close) or least
    share_flipped = chosen.flip if flip is None else flip
    ranks = ranker(made, judge, chosen.judge, temperature, share_flipped)
    agents = (
        _spread(made, _agent(made, expert), spread),
        _spread(made, _agent(made, rival), spread),
    )
    recipe = Recipe(
        task=task,
        settings=settings_of(made),
        kind="+".join(sorted(kind.split("+"))),
        expert=Author.of(expert, agents[0]),
        reference=Author.of(rival, agents[1]),
        rows=defaults.rows if rows is None else rows,
        responses=responses,
        judge=ranks.judge,
        seed=seed,
        exact=ranks.judge.flip > 0 and exact is not False,
        spread=spread,
        share=chosen.share if share is None else share,
        grading=ranks.grading,
    )
    if recipe.share is not None:
        generate.cast(recipe)  # refuses a share that the kind has not got
    return Plan(recipe, made, agents, ranks.grade)


def make(
    task: str = "hopper",
    kind: str = "base",
    *,
    out: str | Path | None = None,
    cache: Path | None = None,
    report: Report = lambda done, rows: None,
    **choices: Any,
) -> Dataset:
    """Make a dataset, or take it from the cache; the other choices are those of `plan`.

    Args:
      task: name of the task.
      kind: name of the kind.
      out: a file to write to, in place of the cache.
      cache: the folder of the cache, in place of `cache_folder()`.
      report: called with the rows done and the rows in all.
      **choices: see `plan`.
    """
    planned = plan(task, kind, **choices)
    if out is None:
        return cached(planned.recipe, lambda path: planned.write(path, report), cache)
    planned.write(Path(out), report)
    return load(out, verify=False)


def _agent(task: Task, name: str) -> Params:
    params = _named(task, name)
    wanted = jax.eval_shape(task.policy.init, jax.random.key(0))
    if _shapes(params) != _shapes(wanted):
        raise RequestError(
            f"agent {name!r} cannot act in task {task.name!r}: it is of another size or "
            f"architecture; agents of the task are {', '.join(task.agents()) or 'none'}"
        )
    return params


def _spread(task: Task, params: Params, log_std: float | None) -> Params:
    """Return an agent whose actions spread by this much, if that is said."""
    if log_std is None:
        return params
    policy = task.policy
    if not isinstance(policy, Spreading):
        raise RequestError(f"agents of {task.name} have no spread: they draw tokens")
    return policy.spread(params, log_std)


def _shapes(params: Params) -> dict[str, tuple[int, ...]]:
    return {name: leaf.shape for name, leaf in treefile.named(params)}


def _named(task: Task, name: str) -> Params:
    from envs import agents

    if not (task.agents() or "/" in name or Path(f"{name}.json").exists()):
        raise RequestError(
            f"task {task.name!r} has no agents to write data, such as {name!r}: name the file of "
            "one, give data of your own (data.path), or train on what the agent writes, with "
            "training.normalise=false"
        )
    owner, level = name.split("/", 1) if "/" in name else (task.name, name)
    try:
        return task.agent(level) if owner == task.name else agents.load(name).params
    except RequestError:
        if not Path(f"{name}.json").exists():
            raise
        return agents.read(Path(name)).params
