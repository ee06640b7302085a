"""What is settled before JAX first computes: devices of the host, and the compilation cache."""

import os

from envs.data import cache_folder
from mpo.errors import RequestError

_FLAG = "--xla_force_host_platform_device_count"


def host_devices(count: int | None = None) -> None:
    """Let JAX see the cores of a CPU as so many devices: by default one per core.

    Agents are small programs, and XLA gives a device more than it can use of several
    cores. Other platforms do not see the flag; one that was set already stays.

    Raises:
      RequestError: the count is not positive.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if count is not None and count < 1:
        raise RequestError(f"devices is {count}: there must be at least 1")
    if _FLAG not in flags:
        wanted = count or len(os.sched_getaffinity(0))
        os.environ["XLA_FLAGS"] = f"{flags} {_FLAG}={wanted}".strip()


def compilation_cache() -> None:
    """Let JAX keep what it compiles beside the datasets, so that a second start is quick."""
    import jax

    if jax.config.values["jax_compilation_cache_dir"] is None:
        folder = cache_folder().parent / "xla"
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
