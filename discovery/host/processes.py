"""Several processes, on one machine or many, that run one discovery together."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import jax
import numpy as np
from jax.errors import JaxRuntimeError
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from mpo.errors import RequestError
from mpo.train.population import AXIS

T = TypeVar("T")

_HEARTBEAT = 30
"""Seconds after which a process that is not heard of is taken for lost."""


@contextmanager
def joined(cluster: str | None) -> Iterator[None]:
    """Join the other processes of a run, by JAX's distributed runtime; alone if `None`.

    Args:
      cluster: "auto", where JAX can find out by itself (SLURM, Open MPI, Kubernetes, TPUs), or
        "HOST:PORT,PROCESSES,PROCESS".

    Raises:
      RequestError: the cluster cannot be read, or is not there.
      RuntimeError: another process was lost.
    """
    if cluster is None:
        yield
        return
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        jax.distributed.initialize(**_address(cluster), heartbeat_timeout_seconds=_HEARTBEAT)
    except (ValueError, JaxRuntimeError) as error:
        raise RequestError(
            f"cluster {cluster!r} could not be joined: {str(error).splitlines()[0]}"
        ) from error
    try:
        _meet()
        yield
    except JaxRuntimeError as error:
        _leave(error)
    jax.distributed.shutdown()


def primary() -> bool:
    """Whether this is the process that reads and writes the folder of the run."""
    return jax.process_index() == 0


def all_devices() -> Mesh:
    """Return the devices of all processes, on one axis."""
    return Mesh(np.asarray(jax.devices()), (AXIS,))


def gathered(values: Array) -> np.ndarray:
    """Bring values from the devices of all processes to each host."""
    if values.is_fully_addressable:
        return np.asarray(values)
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(values, tiled=True))


def same_everywhere(value: T) -> T:
    """Return the primary process's `value`, a pytree of arrays or a bool, in every process."""
    if jax.process_count() == 1:
        return value
    from jax.experimental import multihost_utils

    sent: Any = multihost_utils.broadcast_one_to_all(value)
    return bool(sent) if isinstance(value, bool) else sent  # type: ignore[return-value]


def same_text(text: str) -> str:
    """Return the primary process's `text` in every process."""
    raw = np.frombuffer(text.encode(), np.uint8)
    size = int(same_everywhere(np.asarray(raw.size)))
    sent = raw if raw.size == size else np.zeros(size, np.uint8)
    return np.asarray(same_everywhere(sent)).tobytes().decode()


def machine() -> str:
    """Return how many devices of which kind all processes have."""
    return f"{jax.device_count()} × {jax.devices()[0].device_kind}"


def _address(cluster: str) -> dict[str, Any]:
    if cluster == "auto":
        return {}
    parts = cluster.split(",")
    if len(parts) != 3 or ":" not in parts[0] or not (parts[1] + parts[2]).isdigit():
        raise RequestError(
            f"cluster {cluster!r} is neither 'auto' nor HOST:PORT,PROCESSES,PROCESS, such as "
            "localhost:9911,2,0"
        )
    count, number = int(parts[1]), int(parts[2])
    if not number < count:
        raise RequestError(f"process {number} of {count}: they are numbered from 0")
    return {
        "coordinator_address": parts[0],
        "num_processes": count,
        "process_id": number,
    }


def _meet() -> None:
    """Connect all devices while no process is ahead of another.

    CPUs connect at their first collective, and give up on a process that comes half a minute
    late, as one may that compiles for longer; once connected they wait as long as it takes.
    """
    sharding = NamedSharding(all_devices(), PartitionSpec(AXIS))
    here = [jax.device_put(np.zeros(1), device) for device in sharding.addressable_devices]
    shape = (jax.device_count(),)
    gathered(jax.make_array_from_single_device_arrays(shape, sharding, here))
    same_everywhere(True)


def _leave(error: Exception) -> None:
    """End this process at once: the runtime would wait for the lost one first."""
    reason = str(error).splitlines()[0]
    print(
        f"discovery: this process lost the others of its run, or failed itself ({reason}); "
        "everything up to the last checkpoint is saved: start all processes again to go on, as "
        "many as you like",
        file=sys.stderr,
        flush=True,
    )
    os._exit(1)
