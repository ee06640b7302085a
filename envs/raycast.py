"""A small ray caster, so that pictures need no display: capsules on a chequered floor."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

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
