"""The wheel, installed into an empty environment and used from an empty folder."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

USE = """
import importlib, pkgutil, pathlib, sys
import mpo, envs, discovery, llm_transfer
for package in (mpo, envs, discovery, llm_transfer):
    assert pathlib.Path(package.__file__).is_relative_to(sys.prefix), package.__file__
    assert (pathlib.Path(package.__file__).parent / "py.typed").exists()
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as missing:
            # Only the package for language models may need what the extra "llm" brings.
            assert package is llm_transfer, (module.name, missing)
            assert missing.name in {"torch", "transformers", "trl", "datasets", "peft"}, missing
assert "torch" not in sys.modules
import jax.numpy as jnp
pair = mpo.Comparison(logp=jnp.array([-1.0, -3.0]), length=jnp.array([2, 3]))
assert 0 < float(mpo.objective("orpo")(pair)) < 2
from envs.agents import load, names
assert names(), "no agents in the wheel"
for name in names():
    load(name)
"""


def _run(*command: str, cwd: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_wheel_works_outside_the_checkout(tmp_path):
    _run(sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), cwd=ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "empty", with_pip=True)
    python = str(tmp_path / "empty" / "bin" / "python")
    constraints = str(ROOT / "constraints.txt")
    _run(python, "-m", "pip", "install", "--quiet", "-c", constraints, str(wheel), cwd=tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    _run(python, "-c", USE, cwd=elsewhere)
    listed = _run(str(tmp_path / "empty" / "bin" / "discovery"), "list", "--json", cwd=elsewhere)
    assert "orpo" in listed
