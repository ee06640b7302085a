"""What every test runs under: shapes checked, no silent promotion, x64 where asked for."""

import os
from collections.abc import Iterator

# Before jax is imported. Nearly all the time of the tests is XLA compiling small programs.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import hypothesis
import jax
import pytest
from jaxtyping import install_import_hook

# Before the packages are imported, so that every annotated function of theirs is checked.
install_import_hook(["mpo", "envs", "discovery"], "beartype.beartype")

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

hypothesis.settings.register_profile("project", deadline=None, max_examples=25, derandomize=True)
hypothesis.settings.load_profile("project")


@pytest.fixture
def x64() -> Iterator[None]:
    """Run a test in double precision."""
    with jax.enable_x64(True):
        yield
