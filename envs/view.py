"""A rollout to be seen without a display: as an interactive page, an animation or a strip."""

import dataclasses
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from envs import raycast, registry
from envs.physics import PhysicsTask
from envs.physics.body import Rods
from mpo import treefile
from mpo.errors import RequestError, place_to_write

_SIZE = (240, 320)
_FRAME_SECONDS = 0.04
_PALETTE = (
    (0.25, 0.29, 0.36),  # torso
    (0.16, 0.45, 0.70),
    (0.13, 0.55, 0.45),
    (0.89, 0.58, 0.14),
    (0.79, 0.24, 0.22),  # the fourth leg
)


def write(
    out: Path,
    task: str,
    backend: str,
    params: Any,
    steps: int = 300,
    frames: int = 8,
    seed: int = 0,
) -> None:
    """Let a policy act for `steps` steps and write it to `out`; the suffix says as what.

    Args:
      out: a file that ends in .html, .gif or .png.
      task: name of a physics task.
      backend: of its physics.
      params: parameters of the policy.
      steps: steps to show; fewer if it falls.
      frames: pictures of a .png strip.
      seed: of the start and the actions.
    """
    if out.suffix not in WRITERS:
        raise RequestError(f"cannot write {out.name!r}: it must end in {', '.join(WRITERS)}")
    if steps < 1 or frames < 1:
        raise RequestError("steps and frames must be at least 1")
    if not out.parent.is_dir():
        raise RequestError(f"there is no folder {out.parent} to write {out.name} in")
    made = registry.task(task)
    if not isinstance(made, PhysicsTask):
        raise RequestError(f"{task} has no body to be seen: choose a physics task")
    made = dataclasses.replace(made, backend=backend, horizon=steps)
    content = WRITERS[out.suffix](made, _states(made, params, seed), frames)
    with place_to_write(out):
        treefile.replace(out, content)


def _states(task: PhysicsTask, params: Any, seed: int) -> list[Any]:
    """Return the states of one response, until it falls."""
    where, how = jax.random.split(jax.random.key(seed))
    states, mask = jax.jit(task.watch)(params, task.start(where), how)
    length = int(np.sum(mask))
    return [jax.tree.map(lambda x, t=t: x[t], states) for t in range(length)]


def _page(task: PhysicsTask, states: list[Any], _: int) -> bytes:
    return task.simulator.page(states).encode()


def _strip(task: PhysicsTask, states: list[Any], frames: int) -> bytes:
    """Return `frames` moments, evenly spaced, side by side."""
    chosen = np.linspace(0, len(states) - 1, frames).round().astype(int)
    pictures = [_picture(task, states[t]) for t in chosen]
    return _encode(Image.fromarray(np.concatenate(pictures, axis=1)), "PNG")


def _animation(task: PhysicsTask, states: list[Any], _: int) -> bytes:
    """Return an animation in true time, at about 25 pictures a second."""
    every = max(1, round(_FRAME_SECONDS / task.simulator.seconds))
    first, *rest = [
        Image.fromarray(_picture(task, state)).quantize(64, dither=Image.Dither.NONE)
        for state in states[::every]
    ]
    duration = round(1000 * every * task.simulator.seconds)
    return _encode(first, "GIF", save_all=True, append_images=rest, duration=duration, loop=0)


_Writer = Callable[[PhysicsTask, list[Any], int], bytes]
WRITERS: Mapping[str, _Writer] = MappingProxyType(
    {".html": _page, ".gif": _animation, ".png": _strip}
)
"""What can be written, by the suffix of the file."""

_render = jax.jit(raycast.render, static_argnums=(2, 3))


def _picture(task: PhysicsTask, state: Any) -> np.ndarray:
    """Draw one state, from beside the body and a little above."""
    rods = task.simulator.rods(state)
    torso, reach = np.asarray(state.x.pos[0]), max(1.0, float(np.ptp(rods.a[:, 2])))
    target = np.array([torso[0], torso[1], 0.45 * reach])
    eye = target + reach * np.array([0.8, -3.2, 1.0])
    camera = raycast.Camera(*(jnp.asarray(x, jnp.float32) for x in (eye, target, 0.45)))
    rows = (rods.a, rods.b, rods.radius, _colours(rods))
    scene = raycast.Capsules(*(jnp.asarray(x) for x in rows))
    return np.asarray(_render(scene, camera, *_SIZE))


def _colours(rods: Rods) -> np.ndarray:
    """Return a hue for each limb, paler from joint to joint."""
    hue = np.array(_PALETTE)[rods.limb % len(_PALETTE)]
    pale = 0.18 * rods.depth[:, None]
    return (hue + pale * (1 - hue)).astype(np.float32)


def _encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
