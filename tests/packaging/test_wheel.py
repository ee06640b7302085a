"""The distribution: complete, and used from an empty environment and an empty folder."""

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("mpo", "envs", "discovery", "llm_transfer")

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

CUT = (
    "data.rows=48", "training.hyper.updates=20", "search.population=4", "search.generations=2",
    "search.episodes=8", "evaluation.seeds=2", "evaluation.episodes=8",
    "evaluation.selection_seeds=2", "evaluation.tune=false", 'evaluation.against=["orpo"]',
)  # fmt: skip
"""The preset quick, in seconds."""


def _run(*command: str, cwd: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment["DISCOVERY_CACHE"] = str(cwd / "cache")
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """Return the folder of the sdist, and of the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    _run(sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT), cwd=folder)
    return folder


@pytest.fixture(scope="module")
def written():
    """Return the files that are written and not made: those that git has, or would take."""
    asked = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("no checkout")
    return {name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()}


@pytest.mark.slow
def test_the_sdist_is_the_repository(dist, written):
    with tarfile.open(next(dist.glob("*.tar.gz"))) as archive:
        held = {one.name.partition("/")[2] for one in archive.getmembers() if one.isfile()}
    made = {"PKG-INFO", "setup.cfg"}
    held = {name for name in held if not name.startswith("preference_discovery.egg-info/")} - made
    assert held == written


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_packages_and_the_licence(dist, written):
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as archive:
        held = set(archive.namelist())
    about = {name for name in held if name.partition("/")[0].endswith(".dist-info")}
    assert held - about == {name for name in written if name.partition("/")[0] in PACKAGES}
    assert {"LICENSE", "NOTICE"} <= {Path(name).name for name in about}


@pytest.mark.slow
def test_the_wheel_works_outside_the_checkout(dist, tmp_path):
    venv.create(tmp_path / "empty", with_pip=True)
    scripts = tmp_path / "empty" / "bin"
    python, discovery = str(scripts / "python"), str(scripts / "discovery")
    wheel, constraints = str(next(dist.glob("*.whl"))), str(ROOT / "constraints.txt")
    _run(python, "-m", "pip", "install", "--quiet", "-c", constraints, wheel, cwd=tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    _run(python, "-c", USE, cwd=elsewhere)
    assert "orpo" in _run(discovery, "list", "--json", cwd=elsewhere)
    settings = [word for setting in CUT for word in ("--set", setting)]
    said = _run(discovery, "run", "--preset", "quick", *settings, "--out", "quick", cwd=elsewhere)
    assert "orpo" in said
    assert (elsewhere / "quick" / "report.html").exists()
    assert "def " in _run(discovery, "export", "quick", "--to", "jax", cwd=elsewhere)
