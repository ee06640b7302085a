"""The tiny discovery as a command in a process of its own, and what of a run must not change."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.discovery.conftest import TINY

WHOLE = {**TINY, "evaluation": {**TINY["evaluation"], "against": ["sft"], "tune": True}}
"""The tiny discovery, with everything that a run can end with."""

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


class Command:
    """Starts `discovery run` of the tiny description in a folder."""

    def __init__(self, cache: Path, file: Path) -> None:
        self.cache, self.file = cache, file

    def start(self, out: Path, *more: str, devices: int = 1) -> "subprocess.Popen[str]":
        """Start it; stderr has a line for each generation."""
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND, "run", "--config", str(self.file), "--out", str(out),
             "--devices", str(devices), *more],
            env=os.environ | {"DISCOVERY_CACHE": str(self.cache)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, out: Path, *more: str, devices: int = 1) -> "subprocess.CompletedProcess[str]":
        """Run it to its end."""
        process = self.start(out, *more, devices=devices)
        printed, said = process.communicate(timeout=300)
        return subprocess.CompletedProcess(process.args, process.returncode, printed, said)


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
