"""Reference agents from one training: for every level of skill asked for, the nearest snapshot."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import jax

from envs import ppo, registry
from envs.agents import catalogue, files
from envs.agents.agent import Agent, Measurement, Provenance, measure
from envs.base import Task
from envs.ppo import PPO, Line, Settings, TrainState
from mpo.claim import Claim
from mpo.errors import RequestError
from mpo.settings import Checked, count
from mpo.versions import versions

LOOK = 32
"""Episodes that tell whether the agent of the moment may be one to keep; more then confirm it."""
BETWEEN = 160_000
"""Environment steps between two looks, about."""


@dataclass(frozen=True)
class Request(Checked):
    """Which agents are wanted, and how they are to be trained.

    Attributes:
      task: name of the task.
      targets: mean returns; for each the nearest snapshot is kept.
      folder: where everything is written; the same request continues what is in it.
      seed: of all randomness of the training.
      settings: the numbers of PPO.
      backend: the brax backend that simulates.
      start_from: name of a shipped agent to start from, in place of a fresh one.
      episodes: by which the agents that are kept are measured in the end.
    """

    task: str
    targets: tuple[float, ...]
    folder: Path
    settings: Settings
    seed: int = count(0, at_least=0, below=2**32)
    backend: str = "spring"
    start_from: str | None = None
    episodes: int = count(128, at_least=2)

    what: ClassVar[str] = "the training of agents"

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        super().__post_init__()
        ppo.preset(self.task)
        if not self.targets:
            raise RequestError("no level was asked for: give at least one --target-return")


@dataclass(frozen=True)
class Outcome:
    """What a training gave: the provenance of each agent kept, and the levels never passed."""

    agents: Mapping[float, Provenance]
    missed: tuple[float, ...]
    best: float


def train(request: Request, report: Callable[[Line], None] = lambda _: None) -> Outcome:
    """Train until every target was passed, or the steps are used up.

    Raises:
      RequestError: the folder holds another training, or another process is at work in it.
    """
    task = registry.task(request.task, backend=request.backend)
    start = catalogue.load(request.start_from).params if request.start_from else None
    ladder = _Ladder(request, task)
    learner = PPO(task, request.settings)  # type: ignore[arg-type]  # an environment, by its defaults
    claim = Claim(request.folder, "config.json", "training")
    with claim.held({**dataclasses.asdict(request), "folder": None}):
        ppo.train(
            learner,
            jax.random.key(request.seed),
            request.folder,
            chunk=max(1, round(BETWEEN / request.settings.batch)),
            policy=start,
            visit=ladder.visit,
            report=report,
        )
        lines = ppo.read_log(request.folder)
        best = max(line["return"] for line in lines if line["confirmed"])
        missed = tuple(target for target in request.targets if best < target)
        return Outcome({t: ladder.finish(t) for t in request.targets}, missed, best)


@dataclass(frozen=True)
class _Ladder:
    """Keeps, for each target, the snapshot whose return is nearest."""

    request: Request
    task: Task

    def visit(self, state: TrainState) -> Mapping[str, Any]:
        request, top = self.request, max(self.request.targets)
        steps = int(state.iteration) * request.settings.batch
        key = jax.random.fold_in(jax.random.key(request.seed), state.iteration)
        look, confirm = jax.random.split(key)
        seen = measure(self.task, state.policy, look, LOOK)
        confirmed = seen.mean >= top or any(
            self._nearer(seen, target, steps) for target in request.targets
        )
        if confirmed:
            seen = measure(self.task, state.policy, confirm, request.episodes)
            for target in request.targets:
                if self._nearer(seen, target, steps):
                    agent = Agent(state.policy, _provenance(request, target, steps, seen))
                    files.write(agent, self._path(target))
        return {
            "return": seen.mean,
            "standard_error": seen.standard_error,
            "confirmed": confirmed,
            "enough": confirmed and seen.mean >= top,
        }

    def finish(self, target: float) -> Provenance:
        """Measure the agent kept for a target anew: the measurement that chose it flatters it."""
        agent = files.read(self._path(target))
        key = jax.random.fold_in(jax.random.key(self.request.seed), 2**31 - 1)
        measured = measure(self.task, agent.params, key, self.request.episodes)
        provenance = dataclasses.replace(agent.provenance, measured=measured)
        files.write(Agent(agent.params, provenance), self._path(target))
        return provenance

    def _nearer(self, seen: Measurement, target: float, steps: int) -> bool:
        """Whether this is nearer to the target than the agent kept so far, if there is one.

        One kept after as many steps is the same agent, of a visit that was interrupted before
        its checkpoint: what was decided then is decided again.
        """
        path = self._path(target)
        if not path.with_name(path.name + ".json").exists():
            return True
        kept = files.read_provenance(path)
        nearer = abs(seen.mean - target) < abs(kept.measured.mean - target)
        return nearer or kept.steps == steps

    def _path(self, target: float) -> Path:
        return self.request.folder / catalogue.file_name(self.request.task, target)


def _provenance(request: Request, target: float, steps: int, seen: Measurement) -> Provenance:
    return Provenance(
        task=request.task,
        backend=request.backend,
        target=target,
        seed=request.seed,
        steps=steps,
        measured=seen,
        settings={**dataclasses.asdict(request.settings), "start_from": request.start_from},
        versions=versions("jax", "jaxlib", "brax", "mujoco", "optax", "numpy"),
    )
