"""The shape of a body in a state: the rods it is drawn with."""

from typing import Any, NamedTuple

import numpy as np


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
