"""What is settled before JAX first computes: devices of the host, and the compilation cache."""

import functools
import inspect
import os
from typing import Any

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
    """Let JAX keep what it compiles beside the datasets, so that a second start is quick.

    All of it: most of the programs of a start are tiny, and many.
    """
    import jax

    from envs import places

    if jax.config.values["jax_compilation_cache_dir"] is None:
        folder = places.cache() / "xla"
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    _one_entry_for_all_devices()


def _one_entry_for_all_devices() -> None:
    """Let a device of the CPU take from the cache what was compiled for another.

    JAX keeps a program under a key of, among others, the number of its device, so the same code
    is compiled for every device anew: for some physics that is most of a first generation. It
    leaves the number out of the key on GPUs, and here does so on CPUs, too. That is a parameter of
    a function that JAX does not document; where another release has none, nothing is changed.
    """
    try:
        from jax._src import cache_key

        hashed = cache_key._hash_serialized_compile_options
    except (ImportError, AttributeError):
        return
    if "strip_device_assignment" not in inspect.signature(hashed).parameters:
        return

    @functools.wraps(hashed)
    def without_number(hash_obj: Any, options: Any, strip_device_assignment: bool = True) -> Any:
        return hashed(hash_obj, options, strip_device_assignment=True)

    if not hasattr(hashed, "__wrapped__"):
        cache_key._hash_serialized_compile_options = without_number
