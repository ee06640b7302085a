"""The oldest and the newest packages and Pythons: `python -m benchmarks.compatibility`.

The wheel is built, and installed with pytest into an empty environment for each end: every package
that pyproject.toml asks for at its lower bound, or at the newest that is published. There a part of
the tests runs from a folder without the source, and the table says what ran with what. uv is needed
(`make compatibility` brings it), a network, and the Pythons that are asked for; one that is not
there is downloaded by uv, where it can be.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

ROOT = Path(__file__).resolve().parents[1]
OLDEST, NEWEST = "lowest-direct", "highest"
ENDS = (f"3.11:{OLDEST}", f"3.11:{NEWEST}", f"3.12:{OLDEST}", f"3.13:{NEWEST}")
"""Python and how packages are chosen. Newer releases of JAX do not install on Python 3.11."""

WORDS = {OLDEST: "oldest", NEWEST: "newest"}

TESTS = (
    "mpo/test_objectives.py",
    "mpo/test_artifact.py",
    "mpo/test_paths.py",
    "mpo/train/test_train.py",
    "envs/test_bandit.py",
    "envs/test_physics.py",
    "envs/data/test_archive.py",
    "discovery/test_strategies.py",
    "discovery/test_config.py",
    "discovery/runs/test_resume.py",
    "faults/artifacts/test_accidents.py",
)
"""Losses, training, physics, files, strategies, descriptions, and runs that are killed: what stands
on the packages whose versions differ."""

SHOWN = (
    "jax", "flax", "optax", "chex", "evosax", "brax", "mujoco", "orbax-checkpoint", "numpy",
    "scipy", "matplotlib",
)  # fmt: skip
"""Packages whose versions the table has."""


class Refused(Exception):
    """uv could not do what it was asked: what, and why."""


def main(
    ends: Annotated[list[str] | None, typer.Argument(help="PYTHON:lowest-direct|highest")] = None,
    only: Annotated[str, typer.Option(help="Files of tests that begin with this.")] = "",
    limit: Annotated[float, typer.Option(help="Seconds that the tests of an end may take.")] = 1800,
) -> None:
    """Print a table of what was tried at each end; the status is 1 if a test fails."""
    print("| Python | " + " | ".join(SHOWN) + " | tests | s |")
    print("| --- " * (len(SHOWN) + 3) + "|")
    well, tests = True, [name for name in TESTS if name.startswith(only)]
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        wheel = _wheel(here / "dist")
        for name in ("tests", "docs"):  # which tests read: what was published
            (here / name).symlink_to(ROOT / name)
        for end in ends or ENDS:
            try:
                cells, passed = _tried(end, wheel, here, tests, limit)
            except (Refused, subprocess.TimeoutExpired) as error:
                print(error, file=sys.stderr)
                cells, passed = [end, *[""] * len(SHOWN), "was not tried", ""], False
            print("| " + " | ".join(cells) + " |", flush=True)
            well &= passed
    if not well:
        raise typer.Exit(1)


def _wheel(folder: Path) -> Path:
    """Build the distribution as it would be published; return its wheel."""
    _uv("build", "--out-dir", str(folder), str(ROOT))
    (wheel,) = folder.glob("*.whl")
    return wheel


def _tried(
    end: str, wheel: Path, here: Path, tests: Sequence[str], limit: float
) -> tuple[list[str], bool]:
    """Install and test at one end; return a row of the table, and whether all was well.

    Args:
      end: a Python, a colon, and uv's name of a way to choose packages.
      wheel: to be installed.
      here: a folder to work in, with the tests.
      tests: files, below its `tests`.
      limit: seconds.
    """
    version, _, resolution = end.partition(":")
    environment = here / end.replace(":", "-")
    python = environment / "bin" / "python"
    _uv("venv", "--python", version, str(environment))
    chosen = here / f"{environment.name}.txt"
    _uv(
        "pip", "compile", str(ROOT / "pyproject.toml"), "--python", str(python),
        "--resolution", resolution, "--output-file", str(chosen),
    )  # fmt: skip
    # What runs the tests is no part of what is tried, and moves none of it.
    tools = ("pytest", "hypothesis", "beartype")
    _uv("pip", "install", "--python", str(python), "-c", str(chosen), str(wheel), *tools)
    versions = dict(re.findall(r"^([\w-]+)==(\S+)", chosen.read_text(), re.MULTILINE))
    began = time.perf_counter()
    said = _run_tests(python, here, tests, limit)
    seconds = f"{time.perf_counter() - began:.0f}"
    last = (said.strip().splitlines() or ["nothing was said"])[-1]
    counted = re.search(r"(?:\d+ failed, )?(\d+) passed", last)
    passed = counted is not None and "failed" not in last and "error" not in last
    if not passed:
        print(said[-6000:], file=sys.stderr)
    full = subprocess.run([str(python), "-V"], capture_output=True, text=True, check=True).stdout
    row = [f"{full.split()[1]}, {WORDS[resolution]}", *(versions.get(name, "") for name in SHOWN)]
    return [*row, counted[0] if counted else last, seconds], passed


def _run_tests(python: Path, here: Path, tests: Sequence[str], limit: float) -> str:
    """Run tests against what is installed; return what pytest said."""
    command = [
        str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "--disable-warnings",
        "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(here),
        # Others' deprecations are for the versions that CI pins.
        "-o", "filterwarnings=default", "-o", "addopts=--import-mode=importlib --strict-markers",
        "-m", "not slow and not sweep and not llm", *(f"tests/{name}" for name in tests),
    ]  # fmt: skip
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "JAX"))}
    environment["DISCOVERY_CACHE"] = str(here / "cache")
    done = subprocess.run(
        command, cwd=here, env=environment, timeout=limit, check=False, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return done.stdout


def _uv(*arguments: str) -> str:
    """Run uv; return what it printed.

    Raises:
      Refused: it failed.
    """
    command = [sys.executable, "-m", "uv", "--quiet", *arguments]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(f"uv {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    typer.run(main)
