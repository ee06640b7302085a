"""The tiny discovery as a command, here or in a process of its own; what of a run must not change.

A process costs seconds of imports and traces: only what a process alone can show starts one.
"""

import importlib
import io
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from discovery.cli import main
from discovery.host import startup
from tests.discovery.conftest import TINY

WHOLE = {**TINY, "evaluation": {**TINY["evaluation"], "against": ["sft"]}}
"""The tiny discovery, compared with one objective."""

COMMAND = "import sys; from discovery.cli import main; sys.exit(main(sys.argv[1:]))"


def numbers(folder: Path) -> dict[str, object]:
    """Return all that a run found, without the times it took."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        del line["seconds"], line["split"]
    results = json.loads((folder / "results.json").read_text())
    return {
        "lines": lines,
        "results": results,
        "arrays": (folder / "objective.npz").read_bytes(),
    }


def generations(folder: Path) -> int:
    """Return how many generations a run has written down."""
    path = folder / "metrics.jsonl"
    return path.read_text().count("\n") if path.exists() else 0


def wait_for(process: "subprocess.Popen[str]", folder: Path, count: int) -> None:
    """Wait until a run in a process has written down `count` generations."""
    until = time.monotonic() + 240
    while generations(folder) < count:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.005)


class Command:
    """`discovery run` of the tiny description in a folder."""

    def __init__(self, cache: Path, file: Path) -> None:
        self.cache, self.file = cache, file

    def _arguments(self, out: Path, *more: str) -> list[str]:
        return ["run", "--config", str(self.file), "--out", str(out), *more]

    def start(self, out: Path, *more: str, devices: int = 1) -> "subprocess.Popen[str]":
        """Start it in a process; stderr has a line for each generation."""
        arguments = self._arguments(out, "--devices", str(devices), *more)
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND, *arguments],
            env=os.environ | {"DISCOVERY_CACHE": str(self.cache)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, out: Path, *more: str) -> "subprocess.CompletedProcess[str]":
        """Run it to its end, here."""
        arguments = self._arguments(out, *more)
        printed, said = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DISCOVERY_CACHE", str(self.cache))
            # The devices and the compilation cache are those of the process of the tests.
            patch.setattr(startup, "host_devices", lambda count: None)
            patch.setattr(startup, "compilation_cache", lambda: None)
            with redirect_stdout(printed), redirect_stderr(said):
                status = main(arguments)
        return subprocess.CompletedProcess(arguments, status, printed.getvalue(), said.getvalue())


@pytest.fixture(scope="session")
def command(datasets, tmp_path_factory):
    file = tmp_path_factory.mktemp("description") / "tiny.json"
    file.write_text(json.dumps(WHOLE))
    return Command(datasets, file)


@pytest.fixture(scope="session")
def whole(command, tmp_path_factory):
    """Return the folder of a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    done = command.run(folder)
    assert done.returncode == 0, done.stderr
    return folder


@contextmanager
def at_call(path, number, happens):
    """Let something happen in place of the n-th call of a function.

    Args:
      path: of the function: a module's, or a class's in a module.
      number: of the call, from 1.
      happens: a function of the one whose place it takes, and of its arguments.
    """
    owner, _, name = path.rpartition(".")
    module, _, attribute = owner.rpartition(".")
    is_class = attribute[0].isupper()
    place = importlib.import_module(module if is_class else owner)
    place = getattr(place, attribute) if is_class else place
    original, calls = getattr(place, name), []

    def replaced(*arguments, **settings):
        calls.append(arguments)
        if len(calls) == number:
            return happens(original, *arguments, **settings)
        return original(*arguments, **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, name, replaced)
        yield
