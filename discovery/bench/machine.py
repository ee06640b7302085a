"""What figures were measured on."""

import os
from dataclasses import dataclass
from pathlib import Path

import jax

from mpo.versions import versions

PACKAGES = ("jax", "jaxlib", "brax", "evosax", "optax", "numpy", "torch")


@dataclass(frozen=True)
class Machine:
    """A machine, and how busy it was before the measurements began.

    Attributes:
      platform: that JAX computes on, such as cpu or gpu.
      kind: of its devices.
      devices: how many of them JAX sees.
      cores: of the CPU, that this process may use.
      load: processes that were running or waiting to, on average over the minute before.
      versions: of the packages that decide figures.
    """

    platform: str
    kind: str
    devices: int
    cores: int
    load: float
    versions: dict[str, str]

    def __str__(self) -> str:
        return (
            f"{self.devices} x {self.kind} ({self.platform}), {self.cores} cores, "
            f"load {self.load:.1f} before, jax {self.versions['jax']}"
        )


def machine() -> Machine:
    """Return what this process runs on."""
    devices = jax.devices()
    return Machine(
        platform=jax.default_backend(),
        kind=devices[0].device_kind,
        devices=len(devices),
        cores=len(os.sched_getaffinity(0)),
        load=os.getloadavg()[0],
        versions=versions(*PACKAGES),
    )


def peak_memory() -> float:
    """Return the most memory that this process has had on the host, in bytes.

    Not `resource.getrusage`: what it says begins at the size of the process that started this.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return float(line.split()[1]) * 1024
    raise OSError("the kernel does not tell the peak memory of this process")


def peak_device_memory() -> float | None:
    """Return the most memory that was in use on the first device, in bytes, if it tells."""
    stats = jax.local_devices()[0].memory_stats() or {}
    return stats.get("peak_bytes_in_use")
