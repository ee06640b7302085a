"""Run the same function for every member of a population, on all devices there are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from mpo.errors import RequestError, unknown

Members = Any  # a pytree of arrays with the members on the leading axis
One = Callable[[Any], Any]
Way = Callable[[One, Members, int], Any]
Put = Callable[[Any, NamedSharding], Array]

AXIS = "members"

WAYS: Mapping[str, Way] = MappingProxyType(
    {
        "map": lambda one, members, chunk: jax.lax.map(one, members),
        "vmap": lambda one, members, chunk: jax.vmap(one)(members),
        "chunks": lambda one, members, chunk: jax.lax.map(one, members, batch_size=chunk),
    }
)
"""One after another; all at once; or `chunk` at once, one chunk after another."""

BEST: Mapping[str, str] = MappingProxyType({"cpu": "map", "gpu": "vmap", "tpu": "vmap"})
"""The way taken by "auto", by `discovery bench --parts ways`. On CPU one after another is as fast
as any with one device per core, and members do not depend on how they are spread. On GPU 256
at once are 19 times as fast as one after another, and 4.5 times as fast as chunks of 8."""


def population(
    one: Callable[..., Any],
    how: str = "auto",
    *,
    chunk: int = 8,
    devices: Mesh | None = None,
) -> "Population":
    """Return the compiled function (members, *shared) to the results of `one(member, *shared)`.

    Args:
      one: a pure function of one member and what all members share, such as the data.
      how: a name of `WAYS`, or "auto" for the fastest on this platform.
      chunk: members at once, for "chunks".
      devices: a mesh with one axis; by default all devices of this process.

    Raises:
      RequestError: there is no such way, or `chunk` is not positive.
    """
    mesh = local_mesh() if devices is None else devices
    name = BEST.get(mesh.devices.flat[0].platform, "vmap") if how == "auto" else how
    if name not in WAYS:
        raise unknown("way to run a population", name, (*WAYS, "auto"))
    if chunk < 1:
        raise RequestError(f"chunks of {chunk} members: they must have at least 1")
    traces: list[int] = []

    def local(members: Members, *shared: Any) -> Any:
        traces.append(len(traces))
        return WAYS[name](lambda member: one(member, *shared), members, chunk)

    return Population(jax.jit(local), mesh, traces)


@dataclass(frozen=True, eq=False)
class Population:
    """Calls the same program on every device of a mesh, each with its part of the members.

    What is shared is held once on each device, never once for each member. A population
    that does not divide by the number of devices is filled up with repeats, which are cut off.

    It is deliberately no `jax.shard_map`: XLA optimises a program for several devices
    differently, and a last bit of a contact force is another episode some steps later. Each
    device runs what a lone device would, so results do not depend on how many there are; and
    there is nothing to communicate, so processes of a distributed run do not wait in it.

    Attributes:
      local: the compiled function, of the members of one device.
      devices: a mesh with one axis, over which members are spread.
      traces: one entry for each tracing.
    """

    local: Any
    devices: Mesh
    traces: list[int]

    def __call__(self, members: Members, *shared: Any) -> Any:
        """Return the results of all members, spread over the mesh."""
        chex.assert_equal_shape_prefix(jax.tree.leaves(members), 1)
        axis = PartitionSpec(self.devices.axis_names[0])
        split, whole = (NamedSharding(self.devices, spec) for spec in (axis, PartitionSpec()))
        size = jax.tree.leaves(members)[0].shape[0]
        parts = _parts(_filled(members, size, self.devices.size), split, _split)
        common = _parts(shared, whole, _whole)
        results = [self.local(parts[device], *common[device]) for device in parts]
        return jax.tree.map(lambda *leaves: _joined(leaves, split, size), *results)

    @property
    def compilations(self) -> int:
        """How often the function was traced: once for each shape, however many devices."""
        return len(self.traces)


def local_mesh() -> Mesh:
    """Return the devices of this process, on one axis."""
    return Mesh(np.asarray(jax.local_devices()), (AXIS,))


def replicated(tree: Any, devices: Mesh | None = None) -> Any:
    """Put a copy of `tree` on each device, once, instead of at every call.

    Every process of a distributed run puts its own; nothing is sent, as all have the same.
    """
    mesh = local_mesh() if devices is None else devices
    sharding = NamedSharding(mesh, PartitionSpec())
    return jax.tree.map(lambda leaf: _whole(leaf, sharding), tree)


def _filled(members: Members, size: int, devices: int) -> Members:
    """Repeat the last member until the devices can share the population equally."""
    if size % devices == 0:
        return members
    rows = jnp.minimum(jnp.arange(-(-size // devices) * devices), size - 1)
    return jax.tree.map(lambda leaf: leaf[rows], members)


def _of_all_processes(leaf: Any) -> bool:
    """Whether a leaf is spread over processes already, and not the same value in each of them."""
    return isinstance(leaf, jax.Array) and not leaf.is_fully_addressable


def _is_there(leaf: Any, sharding: NamedSharding) -> bool:
    """Whether a leaf is spread so already, as what a population returns is for the next one.

    To index such an array would be a collective, and those of a CPU give up, and end the
    process, if one device is most of a minute behind another.
    """
    return isinstance(leaf, jax.Array) and leaf.sharding.is_equivalent_to(sharding, leaf.ndim)


def _whole(leaf: Any, sharding: NamedSharding) -> Array:
    """Return a leaf with a copy on each device."""
    if _is_there(leaf, sharding):
        return leaf
    if _of_all_processes(leaf):
        return jax.device_put(leaf, sharding)
    copies = [jax.device_put(leaf, device) for device in sharding.addressable_devices]
    return jax.make_array_from_single_device_arrays(jnp.shape(leaf), sharding, copies)


def _split(leaf: Any, sharding: NamedSharding) -> Array:
    """Return a leaf of which each device holds its part of the rows."""
    if _is_there(leaf, sharding):
        return leaf
    if _of_all_processes(leaf):
        return jax.device_put(leaf, sharding)
    shape = jnp.shape(leaf)
    rows = sharding.addressable_devices_indices_map(shape)
    parts = [jax.device_put(leaf[place], device) for device, place in rows.items()]
    return jax.make_array_from_single_device_arrays(shape, sharding, parts)


def _parts(tree: Any, sharding: NamedSharding, put: Put) -> dict[jax.Device, Any]:
    """Return what each device of this process holds of a tree, without a copy if it is there.

    In the order of the mesh, which is that of the members.
    """
    leaves, structure = jax.tree.flatten(tree)
    held = [
        {shard.device: shard.data for shard in put(leaf, sharding).addressable_shards}
        for leaf in leaves
    ]
    here = [d for d in sharding.mesh.devices.flat if d in sharding.addressable_devices]
    return {d: jax.tree.unflatten(structure, [shards[d] for shards in held]) for d in here}


def _joined(parts: Sequence[Array], sharding: NamedSharding, size: int) -> Array:
    """Return one array of the parts of all devices, less what was filled up.

    What was filled up is cut off on one device, to which the parts are copied: see `_is_there`.
    """
    shape = (sharding.mesh.size * parts[0].shape[0], *parts[0].shape[1:])
    whole = jax.make_array_from_single_device_arrays(shape, sharding, list(parts))
    if shape[0] == size:
        return whole
    if not whole.is_fully_addressable:
        return whole[:size]
    first = parts[0].device
    return jnp.concatenate([jax.device_put(part, first) for part in parts])[:size]
