"""What is measured on, and how much: a discovery of the asked sizes, made once for all parts."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

import envs
from discovery import config
from discovery.config import Config
from discovery.host.processes import all_devices
from discovery.search import situation
from discovery.search.search import Search
from discovery.search.situation import Situation
from discovery.search.streams import Purpose
from envs import data
from envs.base import Response
from envs.data import Dataset, View
from mpo.policies import GaussianPolicy
from mpo.train import hyper, moments, replicated
from mpo.train.population import AXIS


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The sizes of all parts, small enough for a machine with two cores.

    Attributes:
      task: where agents act.
      horizon: steps of a response; `None` for the task's own.
      synthetic: whether random arrays stand for a dataset of trajectories: what they hold
        changes no time. Token sequences are made in no time.
      rows: comparisons in the dataset.
      segment: steps that a comparison is cut into, if it is longer.
      batch: pairs of segments in an update.
      updates: of an agent, where training alone is measured.
      agents: trained side by side there,
      objectives: under each of these names of `training.OBJECTIVES`.
      sizes: populations that are run in every way.
      rollouts: lengths of the leading axes (agents, episodes) or (episodes,) where acting is
        measured.
      measured: agents, and episodes of each, where measuring them is compared.
      steps: of the episodes in both.
      population: members of a generation, which two probes join.
      generations: of a discovery that are measured whole.
      training: updates of an agent in them.
      episodes: that measure an agent in them.
      populations: of which growth is measured.
      row_counts: numbers of rows of which growth is measured.
      growing: updates of an agent there; few, since the largest population is large.
      processes: populations and rows of those whose memory is measured.
      rounds: in which candidates take turns.
    """

    task: str = "hopper"
    horizon: int | None = None
    synthetic: bool = False
    rows: int = 256
    segment: int = 50
    batch: int = 32
    updates: int = 100
    agents: int = 16
    objectives: tuple[str, ...] = ("orpo", "mpo of basis potentials", "mpo of 126 units")
    sizes: tuple[int, ...] = (8, 64)
    rollouts: tuple[tuple[int, ...], ...] = ((1024,), (16, 64))
    measured: tuple[int, int] = (16, 64)
    steps: int = 100
    population: int = 8
    generations: int = 3
    training: int = 500
    episodes: int = 8
    populations: tuple[int, ...] = (1, 4, 16, 64, 256)
    row_counts: tuple[int, ...] = (64, 256, 1024)
    growing: int = 20
    processes: tuple[tuple[int, int], ...] = ((4, 64), (64, 64), (4, 1024))
    rounds: int = 5

    def on(self, platform: str) -> "Setting":
        """Return the sizes that fill a device of this platform."""
        return dataclasses.replace(self, **FILLING) if platform in ACCELERATORS else self

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Setting":
        """Return what `as_json` wrote."""
        fixed: dict[str, Any] = {name: _fixed(value) for name, value in values.items()}
        return cls(**fixed)


ACCELERATORS = ("gpu", "tpu")

FILLING: Mapping[str, Any] = MappingProxyType(
    {
        "agents": 256,
        "sizes": (16, 256),
        "rollouts": ((16_384,), (256, 64)),
        "measured": (256, 64),
        "population": 256,
        "populations": (1, 4, 16, 64, 256, 1024, 4096),
        "row_counts": (256, 1024, 5120),
        "processes": ((4, 256), (256, 256), (4, 5120)),
    }
)
"""Sizes at which an accelerator has enough to do."""

QUICK: Mapping[str, Any] = MappingProxyType(
    {
        "synthetic": True,
        "rows": 64,
        "updates": 20,
        "agents": 8,
        "objectives": ("orpo",),
        "rollouts": ((256,),),
        "measured": (4, 16),
        "population": 4,
        "generations": 2,
        "training": 100,
        "episodes": 4,
        "populations": (1, 16, 256),
        "row_counts": (64, 256),
        "processes": ((4, 64), (16, 64), (4, 256)),
        "rounds": 3,
    }
)
"""Sizes for a glance."""


def _fixed(value: Any) -> Any:
    """Return the tuples that JSON made lists of."""
    return tuple(map(_fixed, value)) if isinstance(value, list) else value


@dataclass(frozen=True, eq=False)
class Workload:
    """The situation that agents are trained in, and searches of it.

    Attributes:
      setting: the sizes.
    """

    setting: Setting

    @cached_property
    def task(self) -> envs.Task:
        """Where agents act."""
        return envs.task(self.setting.task, **self._task_settings)

    @cached_property
    def devices(self) -> Mesh:
        """Every device."""
        return all_devices()

    @property
    def lone(self) -> Mesh:
        """The first device alone."""
        return Mesh(self.devices.devices[:1], (AXIS,))

    @cached_property
    def situation(self) -> Situation:
        """Where agents are trained for `setting.updates`."""
        return self.prepared(self.described(self.setting.updates))

    @property
    def samples(self) -> int:
        """Steps of responses that an agent sees in its training there."""
        return self.setting.updates * self.samples_per_update

    @property
    def samples_per_update(self) -> int:
        """Steps of responses that an agent sees in an update."""
        source = self.situation.sources[0]
        per_item = np.prod(jax.eval_shape(source.batch, jnp.zeros(1, jnp.int32)).mask.shape)
        return self.setting.batch * int(per_item)

    def search(self, updates: int, generations: int) -> Search:
        """Return a search of so many generations, with agents of so many updates."""
        described = self.described(updates, generations)
        return Search(described, self.prepared(described))

    def described(self, updates: int, generations: int = 1) -> Config:
        """Describe a discovery of the setting's sizes."""
        asked = self.setting
        return config.from_json(
            {
                "task": {"name": asked.task, "settings": self._task_settings},
                "data": {"kind": "shuffled", "rows": asked.rows, "segment": self.segment},
                "training": {
                    "hyper": {"batch": asked.batch, "updates": updates, "max_gradient_norm": 1.0}
                },
                "search": {
                    "population": asked.population,
                    "generations": generations,
                    "episodes": asked.episodes,
                },
            }
        )

    def prepared(self, described: Config) -> Situation:
        """Return the situation of a description, on random arrays if that was asked for."""
        if not (self.setting.synthetic and trajectories(self.task)):
            return situation.prepare(described, Purpose.DISCOVERY, self.devices)
        one, training = described.data[0], described.training
        source = self.source(one.rows or self.setting.rows, one.segment)
        seen = replicated(moments(source), self.devices)
        return Situation(
            self.task,
            (source,),
            (seen,),
            None,
            hyper(**training.hyper),
            training,
            self.devices,
            jax.random.key(0),
        )

    def source(self, rows: int, segment: int | None) -> View:
        """Return random arrays in place of a dataset, on the devices."""
        return replicated(arrays(self.task, rows).view(segment), self.devices)

    @property
    def _task_settings(self) -> dict[str, Any]:
        return {} if self.setting.horizon is None else {"horizon": self.setting.horizon}

    @property
    def segment(self) -> int | None:
        """Steps that comparisons are cut into; `None` where they stay whole."""
        cut = self.setting.segment < self.task.horizon and trajectories(self.task)
        return self.setting.segment if cut else None


def arrays(task: envs.Task, rows: int) -> Dataset:
    """Return random pairs of trajectories with the shapes of the task's, of random lengths."""
    shape = _response(task)
    rng = np.random.default_rng(0)
    steps = int(shape.outputs.shape[0])
    return data.from_arrays(
        rng.standard_normal((rows, 2, *shape.inputs.shape), np.float32),
        rng.standard_normal((rows, 2, *shape.outputs.shape), np.float32),
        length=rng.integers(steps // 2 + 1, steps + 1, (rows, 2)),
        task=task.name,
    )


def trajectories(task: envs.Task) -> bool:
    """Whether responses have an observation for every step, rather than one context."""
    return bool(jnp.issubdtype(_response(task).inputs.dtype, jnp.floating))


def _response(task: envs.Task) -> Response:
    """Return the shapes of a response, without the seconds that tracing physics takes."""
    policy, steps = task.policy, task.horizon

    def response(key: jax.Array) -> Response:
        if not isinstance(policy, GaussianPolicy):
            return task.respond(task.initial(key), task.start(key), key)
        return Response(
            inputs=jnp.zeros((steps, policy.observation_size)),
            outputs=jnp.zeros((steps, policy.action_size)),
            reward=jnp.zeros(steps),
            mask=jnp.ones(steps, bool),
        )

    shape: Response = jax.eval_shape(response, jax.random.key(0))
    return shape
