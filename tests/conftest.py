"""What every test runs under: shapes checked, no silent promotion, x64 where asked for."""

import gc
import os
import shutil
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Before jax is imported. Nearly all the time of the tests is XLA compiling small programs: it does
# so quickly, and once for all the processes of a session. A flag that XLA doesn't know ends the
# process, and the one about emitters is not in every release.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
    + " --xla_cpu_use_fusion_emitters=false" * (int(version("jaxlib").split(".")[1]) <= 10),
)
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", f"{tempfile.gettempdir()}/preference-discovery-tests-{os.getpid()}"
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

import hypothesis
import jax
import jaxtyping
import pytest
from jaxtyping import install_import_hook

# Before the packages are imported, so that every annotated function of theirs is checked.
install_import_hook(["mpo", "envs", "discovery"], "beartype.beartype")

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

hypothesis.settings.register_profile("project", deadline=None, max_examples=25, derandomize=True)
hypothesis.settings.load_profile("project")


PARTS = 60
"""Into how many parts the slow tests are cut, of which `make test` runs one."""
SWEEP = 24
"""Into how many the cases of a sweep are cut, likewise."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare which part of the slow tests is run."""
    about = "chooses which part of the slow tests is run; all of them, if it is not given"
    parser.addoption("--rotate", type=int, default=None, metavar="N", help=about)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the slow tests of all parts but one, and the cases of a sweep of all but one.

    The cases of a slow test stay together; those of a sweep (the same test of every objective, or
    one that compiles for seconds) are what is cut.
    """
    if (number := config.getoption("--rotate")) is None:
        return

    def runs(item: pytest.Item) -> bool:
        slow, sweep = (item.get_closest_marker(name) is not None for name in ("slow", "sweep"))
        # A case of a sweep may be slow, and is then one by itself.
        name = item.nodeid if sweep else item.nodeid.partition("[")[0]
        parts = PARTS if slow else SWEEP if sweep else 1
        return zlib.crc32(name.encode()) % parts == number % parts

    left_out = [item for item in items if not runs(item)]
    config.hook.pytest_deselected(items=left_out)
    # Files with a slow test begin first, then those of many: a worker has the whole of a file.
    chosen = [item for item in items if runs(item)]
    tests = Counter(item.path for item in chosen)
    slow = {item.path for item in chosen if item.get_closest_marker("slow") is not None}
    items[:] = sorted(chosen, key=lambda item: (item.path not in slow, -tests[item.path]))


def pytest_unconfigure() -> None:
    """Throw away what the session compiled, when the process that began it ends."""
    folder = os.environ["JAX_COMPILATION_CACHE_DIR"]
    if folder.endswith(f"preference-discovery-tests-{os.getpid()}"):
        shutil.rmtree(folder, ignore_errors=True)


ROOM = 1.5e9
"""Bytes that a process may hold before the programs of files that are through are dropped."""


def _resident() -> int:
    """Return the bytes this process holds in memory; 0 where the system does not say so."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="module", autouse=True)
def _what_a_file_leaves() -> Iterator[None]:
    """Drop its programs where room is short, and spare collections what is left of it."""
    yield
    if _resident() > ROOM:
        jax.clear_caches()
    gc.collect()
    gc.freeze()


@pytest.fixture
def as_users_have_it() -> Iterator[None]:
    """Run a test without the checks of types and shapes that only tests have."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


@pytest.fixture
def registries_as_they_were() -> Iterator[None]:
    """Leave no registration behind."""
    import mpo
    from envs import data
    from envs.registry import TASKS

    tables: tuple[dict[str, Any], ...] = (mpo.OBJECTIVES, mpo.POTENTIALS, TASKS, data.KINDS)
    before = [dict(table) for table in tables]
    yield
    for table, old in zip(tables, before, strict=True):
        table.clear()
        table.update(old)


@pytest.fixture
def x64() -> Iterator[None]:
    """Run a test in double precision."""
    with jax.enable_x64(True):
        yield
