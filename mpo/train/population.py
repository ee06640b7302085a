"""Run the same function for every member of a population, on all devices there are."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from mpo.errors import RequestError, unknown

Members = Any  # a pytree of arrays with the members on the leading axis
One = Callable[[Any], Any]
Way = Callable[[One, Members, int], Any]

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
"""The way taken by "auto". On CPU by `python -m benchmarks.inner_loop`, where it is as fast as any
with one device per core, and members do not depend on how they are spread; elsewhere
because batched products fill the device, which that benchmark is to confirm."""


def population(
    one: Callable[..., Any],
    how: str = "auto",
    *,
    chunk: int = 8,
    devices: Mesh | None = None,
) -> Callable[..., Any]:
    """Return the compiled function (members, *shared) to the results of `one(member, *shared)`.

    What is shared is held once on each device, never once for each member. A population
    that does not divide by the number of devices is filled up with repeats, which are cut off.

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

    def local(members: Members, *shared: Any) -> Any:
        return WAYS[name](lambda member: one(member, *shared), members, chunk)

    split, whole = PartitionSpec(mesh.axis_names[0]), PartitionSpec()

    def everywhere(members: Members, *shared: Any) -> Any:
        if mesh.size == 1:
            return local(members, *shared)
        spread = jax.shard_map(
            local,
            mesh=mesh,
            in_specs=(split, *[whole] * len(shared)),
            out_specs=split,
            check_vma=False,
        )
        size = jax.tree.leaves(members)[0].shape[0]
        results = spread(_filled(members, size, mesh.size), *shared)
        return jax.tree.map(lambda leaf: leaf[:size], results)

    return jax.jit(everywhere)


def local_mesh() -> Mesh:
    """Return the devices of this process, on one axis."""
    return Mesh(np.asarray(jax.local_devices()), (AXIS,))


def replicated(tree: Any, devices: Mesh | None = None) -> Any:
    """Put a copy of `tree` on each device, once, instead of at every call."""
    mesh = local_mesh() if devices is None else devices
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def _filled(members: Members, size: int, devices: int) -> Members:
    """Repeat the last member until the devices can share the population equally."""
    if size % devices == 0:
        return members
    rows = jnp.minimum(jnp.arange(-(-size // devices) * devices), size - 1)
    return jax.tree.map(lambda leaf: leaf[rows], members)
