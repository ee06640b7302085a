"""What figures were measured on."""

import ctypes
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

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

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)

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


def peak_memory() -> float | None:
    """Return the most memory that this process has had on the host, in bytes, if that is known.

    Not `resource.getrusage`: what that says begins at the size of the process that started this.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:  # another system than Linux
        return None
    return next((1024.0 * int(line.split()[1]) for line in lines if "VmHWM" in line), None)


def forget_peak() -> None:
    """Let `peak_memory` begin anew, at what the process has in use, where that is possible."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # the compiler leaves hundreds of MB of free heap
        Path("/proc/self/clear_refs").write_text("5")


def peak_device_memory() -> float | None:
    """Return the most memory that was in use on the first device, in bytes, if that is known."""
    stats = jax.local_devices()[0].memory_stats() or {}
    return stats.get("peak_bytes_in_use")
