"""The one door to brax: a mechanical model stepped by a chosen backend. Nothing else imports brax.

Rewards, terminations and observations are ours (`hopper.py`, `ant.py`); brax
gives the physics and the model files. What a task may read of a state is its
`q`, `qd` and `x.pos`, which every backend has.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from envs.foreign import foreign
from envs.physics import simulator as body
from mpo.errors import RequestError, unknown


class Rods(NamedTuple):
    """Capsules between world points `a` and `b` (a ball has a = b), one row each.

    `limb` numbers what hangs on the torso, 0 being the torso itself, and `depth`
    counts the joints between.
    """

    a: np.ndarray
    b: np.ndarray
    radius: np.ndarray
    limb: np.ndarray
    depth: np.ndarray


def rods(system: Any, state: Any) -> Rods:
    """Return the rods of a brax state; floors are left out."""
    model = system.mj_model
    place, turn = np.asarray(state.x.pos), np.asarray(state.x.rot)
    parts = [g for g in range(model.ngeom) if model.geom_bodyid[g] > 0]
    ends = [_ends(model, g, place, turn) for g in parts]
    limb, depth = zip(*(_lineage(model, int(model.geom_bodyid[g])) for g in parts), strict=True)
    return Rods(
        a=np.array([a for a, _ in ends], np.float32),
        b=np.array([b for _, b in ends], np.float32),
        radius=np.array([model.geom_size[g, 0] for g in parts], np.float32),
        limb=np.array(limb),
        depth=np.array(depth),
    )


def _ends(model: Any, geom: int, place: np.ndarray, turn: np.ndarray) -> tuple[Any, Any]:
    link = model.geom_bodyid[geom] - 1  # the world is a body, but no link
    half = model.geom_size[geom, 1] * _rotate(model.geom_quat[geom], np.array([0.0, 0.0, 1.0]))
    centre = model.geom_pos[geom]
    a, b = (place[link] + _rotate(turn[link], centre + sign * half) for sign in (-1, 1))
    return a, b


def _lineage(model: Any, body: int) -> tuple[int, int]:
    """Return the limb a body belongs to, and how many joints it is from the torso (body 1)."""
    depth, limb = 0, 0
    while body > 1:
        depth, limb, body = depth + 1, body, int(model.body_parentid[body])
    limbs = [b for b in range(2, model.nbody) if model.body_parentid[b] == 1]
    return (1 + limbs.index(limb) if limb else 0), depth


def _rotate(quaternion: np.ndarray, vector: np.ndarray) -> np.ndarray:
    w, u = quaternion[0], quaternion[1:]
    return vector + 2 * np.cross(u, np.cross(u, vector) + w * vector)


with foreign():
    from brax.generalized import pipeline as generalized
    from brax.io import mjcf
    from brax.mjx import pipeline as mjx
    from brax.positional import pipeline as positional
    from brax.spring import pipeline as spring

BACKENDS: Mapping[str, ModuleType] = MappingProxyType(
    {"generalized": generalized, "mjx": mjx, "positional": positional, "spring": spring}
)

State = Any
"""A brax pipeline state; each backend has its own class."""


@dataclass(frozen=True, eq=False)
class Model:
    """A mechanical model, and what each backend changes in it.

    Attributes:
      asset: file name among the models that brax ships.
      frames: physics steps per action; a backend may have its own number.
      overrides: per backend, brax system fields to replace.
      refused: per backend, why this model must not be simulated by it.
    """

    asset: str
    frames: Mapping[str, int]
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)


class Simulator:
    """Steps one model by one backend; made by `simulator`, which keeps one of each."""

    def __init__(self, model: Model, backend: str) -> None:
        with foreign(), jax.ensure_compile_time_eval():
            path = str(resources.files("brax") / "envs" / "assets" / model.asset)
            system = mjcf.load(path).tree_replace(dict(model.overrides.get(backend, {})))
        self.system = system
        self.frames = model.frames.get(backend, model.frames["default"])
        self.seconds = self.frames * float(system.opt.timestep)
        self._pipeline = BACKENDS[backend]

    @property
    def rest(self) -> Float[Array, " q"]:
        """The generalised position of the model at rest."""
        return self.system.init_q

    @property
    def velocity_size(self) -> int:
        """Entries of a generalised velocity."""
        return int(self.system.qd_size())

    def begin(self, q: Float[Array, " q"], qd: Float[Array, " qd"]) -> State:
        """Return the state at generalised position `q` and velocity `qd`."""
        with foreign():
            return self._pipeline.init(self.system, q, qd)

    def step(self, state: State, action: Float[Array, " act"]) -> State:
        """Apply `action` for `frames` physics steps."""

        def frame(state: State, _: None) -> tuple[State, None]:
            return self._pipeline.step(self.system, state, action), None

        with foreign():
            return jax.lax.scan(frame, state, None, length=self.frames)[0]

    def rods(self, state: State) -> body.Rods:
        """Return the shapes a state is drawn with."""
        return body.rods(self.system, state)


@functools.cache
def simulator(model: Model, backend: str) -> Simulator:
    """Return the simulator of `model` by `backend`; an unknown or unstable backend is refused."""
    if backend not in BACKENDS:
        raise unknown("physics backend", backend, BACKENDS)
    if backend in model.refused:
        stable = ", ".join(sorted(set(BACKENDS) - set(model.refused)))
        raise RequestError(
            f"physics backend {backend!r} is refused for {model.asset}: "
            f"{model.refused[backend]}; choose one of {stable}"
        )
    return Simulator(model, backend)


def uniform(key: Array, like: Float[Array, " n"], scale: float) -> Float[Array, " n"]:
    """Draw noise in (-scale, scale) with the shape of `like`."""
    return jax.random.uniform(key, like.shape, jnp.float32, -scale, scale)
