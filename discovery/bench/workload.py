"""What is measured on: a discovery of the asked sizes, made once for all parts."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

import envs
from discovery import config
from discovery.bench.setting import Setting
from discovery.config import Config
from discovery.host.processes import all_devices
from discovery.search import situation
from discovery.search.search import Search
from discovery.search.situation import Situation
from discovery.search.streams import Purpose
from envs import data
from envs.data import Dataset, View
from mpo.train import hyper, moments, replicated
from mpo.train.population import AXIS


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
        source = self.situation.sources[0]
        per_item = np.prod(jax.eval_shape(source.batch, jnp.zeros(1, jnp.int32)).mask.shape)
        return self.setting.updates * self.setting.batch * int(per_item)

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


def _response(task: envs.Task) -> Any:
    """Return the shapes of a response."""
    key = jax.random.key(0)
    return jax.eval_shape(lambda k: task.respond(task.initial(k), task.start(k), k), key)
