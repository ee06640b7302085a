"""Pictures of a rollout, without a display: an interactive page, an animation, a strip.

A small ray caster draws capsules on a chequered floor.
"""

import dataclasses
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8
from PIL import Image

from envs import picture as raycast
from envs import registry
from envs.physics import PhysicsTask
from envs.physics.simulator import Rods
from envs.player import Take, page
from mpo import treefile
from mpo.errors import RequestError, place_to_write

_SUN = (-0.35, -0.45, 0.82)
_SKY = (0.78, 0.87, 0.96)
_FLOOR = ((0.93, 0.93, 0.91), (0.80, 0.82, 0.83))
_OVERSAMPLING = 2
_NEVER = 1e9


class Capsules(NamedTuple):
    """Rounded rods between points `a` and `b`, and their colours; stacked along the first axis."""

    a: Array
    b: Array
    radius: Array
    colour: Array


class Camera(NamedTuple):
    """Where the camera stands, what it looks at, and the tangent of half its angle of view."""

    eye: Array
    target: Array
    width: Array


def render(scene: Capsules, camera: Camera, height: int, width: int) -> UInt8[Array, "h w 3"]:
    """Return a picture of the scene."""
    tall, wide = height * _OVERSAMPLING, width * _OVERSAMPLING
    rays = _rays(camera, tall, wide)
    colour = jax.vmap(jax.vmap(lambda ray: _look(camera.eye, ray, scene)))(rays)
    blocks = colour.reshape(height, _OVERSAMPLING, width, _OVERSAMPLING, 3)
    return (255 * jnp.clip(jnp.mean(blocks, axis=(1, 3)), 0, 1)).astype(jnp.uint8)


def _rays(camera: Camera, height: int, width: int) -> Float[Array, "h w 3"]:
    forward = _unit(camera.target - camera.eye)
    right = _unit(jnp.cross(forward, jnp.array([0.0, 0.0, 1.0])))
    up = jnp.cross(right, forward)
    x = camera.width * jnp.linspace(-1, 1, width)
    y = camera.width * height / width * jnp.linspace(1, -1, height)
    return jax.vmap(lambda v: jax.vmap(lambda u: _unit(forward + u * right + v * up))(x))(y)


def _look(eye: Array, ray: Array, scene: Capsules) -> Float[Array, "3"]:
    """Return the colour that one ray sees: a capsule, the floor, or the sky."""
    distances = _distances(eye, ray, scene)
    nearest = jnp.argmin(distances)
    floor = jnp.where(ray[2] < -1e-4, -eye[2] / jnp.minimum(ray[2], -1e-4), _NEVER)
    on_body = distances[nearest] < floor
    far = jnp.minimum(distances[nearest], floor)
    point = eye + far * ray
    part = jax.tree.map(lambda x: x[nearest], scene)
    normal = jnp.where(on_body, _unit(point - _axis(point, part)), jnp.array([0.0, 0.0, 1.0]))
    colour = jnp.where(on_body, part.colour, _tile(point))
    lit = _light(point + 1e-3 * normal, normal, scene)
    haze = jnp.clip(far / 25.0, 0.0, 1.0) ** 2
    return (1 - haze) * lit * colour + haze * jnp.array(_SKY)


def _light(point: Array, normal: Array, scene: Capsules) -> Float[Array, ""]:
    sun = _unit(jnp.array(_SUN))
    shadow = jnp.min(_distances(point, sun, scene)) < _NEVER
    direct = jnp.where(shadow, 0.0, jnp.maximum(jnp.dot(normal, sun), 0.0))
    return 0.45 + 0.15 * normal[2] + 0.5 * direct


def _tile(point: Array) -> Float[Array, "3"]:
    odd = jnp.sum(jnp.floor(point[:2]).astype(jnp.int32)) % 2 == 1
    light, dark = _FLOOR
    return jnp.where(odd, jnp.array(light), jnp.array(dark))


def _distances(eye: Array, ray: Array, scene: Capsules) -> Float[Array, " capsules"]:
    return jax.vmap(lambda part: _distance(eye, ray, part))(scene)


def _distance(eye: Array, ray: Array, part: Capsules) -> Float[Array, ""]:
    """Return how far the ray meets one capsule: the rod's wall, or the ball at an end."""
    ends = jnp.minimum(_ball(eye, ray, part.a, part.radius), _ball(eye, ray, part.b, part.radius))
    rod, gap = part.b - part.a, eye - part.a
    along, start = jnp.dot(rod, ray), jnp.dot(rod, gap)
    length = jnp.dot(rod, rod)
    a = length - along**2
    b = length * jnp.dot(ray, gap) - start * along
    c = length * (jnp.dot(gap, gap) - part.radius**2) - start**2
    far = _first_root(a, b, c)
    inside = (start + far * along > 0) & (start + far * along < length)
    return jnp.minimum(ends, jnp.where(inside, far, _NEVER))


def _ball(eye: Array, ray: Array, centre: Array, radius: Array) -> Float[Array, ""]:
    gap = eye - centre
    return _first_root(jnp.ones(()), jnp.dot(ray, gap), jnp.dot(gap, gap) - radius**2)


def _first_root(a: Array, b: Array, c: Array) -> Float[Array, ""]:
    """Return the smaller root of a t² + 2 b t + c, or never: none, behind the eye, or no rod."""
    within = b**2 - a * c
    root = (-b - jnp.sqrt(jnp.maximum(within, 0.0))) / jnp.maximum(a, 1e-9)
    return jnp.where((within > 0) & (a > 1e-9) & (root > 0), root, _NEVER)


def _axis(point: Array, part: Capsules) -> Float[Array, "3"]:
    """Return the point of a capsule's axis that is nearest to `point`."""
    rod = part.b - part.a
    share = jnp.dot(point - part.a, rod) / jnp.maximum(jnp.dot(rod, rod), 1e-9)
    return part.a + jnp.clip(share, 0.0, 1.0) * rod


def _unit(vector: Array) -> Float[Array, "3"]:
    return vector / jnp.maximum(jnp.linalg.norm(vector), 1e-9)


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
    agents: Mapping[str, Any],
    steps: int = 300,
    frames: int = 8,
    seed: int = 0,
) -> None:
    """Let agents act for `steps` steps and write it to `out`; the suffix says as what.

    Several are side by side, or strips above each other; all begin at one place.

    Args:
      out: a file that ends in .html, .gif or .png.
      task: name of a physics task.
      backend: the brax backend that simulates.
      agents: parameters of the policy of each, by the name that a page shows.
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
    seen = {name: _states(made, params, seed) for name, params in agents.items()}
    content = WRITERS[out.suffix](made, seen, frames)
    with place_to_write(out):
        treefile.replace(out, content)


States = list[Any]
"""The states of one response, moment by moment."""


def _states(task: PhysicsTask, params: Any, seed: int) -> States:
    """Return the states of one response, until it falls."""
    where, how = jax.random.split(jax.random.key(seed))
    states, mask = jax.jit(task.watch)(params, task.start(where), how)
    length = int(np.sum(mask))
    return [jax.tree.map(lambda x, t=t: x[t], states) for t in range(length)]


def _page(task: PhysicsTask, seen: Mapping[str, States], _: int) -> bytes:
    """Return a page that plays all in true time."""
    every = _every(task)
    takes = []
    for name, states in seen.items():
        rods = [task.simulator.rods(state) for state in states[::every]]
        takes.append(
            Take(
                name=name,
                seconds=every * task.simulator.seconds,
                a=np.stack([one.a for one in rods]),
                b=np.stack([one.b for one in rods]),
                radius=rods[0].radius,
                colour=_colours(rods[0]),
            )
        )
    return page(takes).encode()


def _strip(task: PhysicsTask, seen: Mapping[str, States], frames: int) -> bytes:
    """Return `frames` moments of each, evenly spaced, side by side."""
    rows = []
    for states in seen.values():
        chosen = np.linspace(0, len(states) - 1, frames).round().astype(int)
        rows.append(np.concatenate([_picture(task, states[t]) for t in chosen], axis=1))
    return _encode(Image.fromarray(np.concatenate(rows)), "PNG")


def _animation(task: PhysicsTask, seen: Mapping[str, States], _: int) -> bytes:
    """Return an animation in true time, at about 25 pictures a second; who fell stays there."""
    every = _every(task)
    drawn = [[_picture(task, state) for state in states[::every]] for states in seen.values()]
    first, *rest = [
        Image.fromarray(
            np.concatenate([own[min(t, len(own) - 1)] for own in drawn], axis=1)
        ).quantize(64, dither=Image.Dither.NONE)
        for t in range(max(map(len, drawn)))
    ]
    duration = round(1000 * every * task.simulator.seconds)
    return _encode(first, "GIF", save_all=True, append_images=rest, duration=duration, loop=0)


def _every(task: PhysicsTask) -> int:
    """Return every which state is shown, for about 25 pictures a second."""
    return max(1, round(_FRAME_SECONDS / task.simulator.seconds))


_Writer = Callable[[PhysicsTask, Mapping[str, States], int], bytes]
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
