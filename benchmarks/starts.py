"""Seconds from a command to the first it says, of its second start: `python -m benchmarks.starts`.

Every command is asked something small in a folder of its own, and is stopped at its first output.
The first start of each, which compiles and remembers, runs to its end and is not counted; of the
later ones the fastest is. Beside its seconds stand those of the processor, of all threads, which
other work on the machine stretches less.
"""

import os
import select
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import typer

from benchmarks.measuring import child, number

TINY = """
about = "a discovery to be started"
task = {name = "reach"}
data = {kind = "shuffled", rows = 48}
training = {hyper = {updates = 20, batch = 8, learning_rate = 0.03}}
search = {population = 6, generations = 4, episodes = 4}
evaluation = {against = ["orpo"], seeds = 3, episodes = 4, selection_seeds = 2}
"""
LOSS = "def loss(logp, length):\n    return logp[1] / length[1] - logp[0] / length[0]\n"
MINE = "data make --task token_bandit --kind shuffled --rows 256 --out mine.npz"
REACH = "--task reach --dataset shuffled --objective orpo"

COMMANDS = (
    "--help",
    "list",
    "list --family",
    "run --config tiny.toml --out run",
    "run --config tiny.toml --out other",
    "watch run",
    "report run",
    "landscape run",
    "fit run",
    "export run --to torch",
    "export orpo --to jax",
    f"evaluate {REACH} --seeds 2 --episodes 4",
    f"tune {REACH} --out tuned.json",
    "anchor --preset quick",
    "train --task reach --algorithm dpo",
    "paper table-1",
    "leaderboard --task token_bandit --fault shuffled --out board",
    MINE,
    "data show mine.npz",
    "recommend mine.npz",
    "judge loss.py",
    "weights path",
    "agents show",
    "agents view hopper/900 --steps 20 --out seen.png",
    "agents train --task hopper --target-return 100 --out agents",
    "bench --quick --parts train --task reach",
    "finetune --objective orpo --learning-rate 0.001 --out language --rows 16",
)
"""What is asked of each command, in this order and one folder."""


def main(
    tries: int = typer.Option(5, help="Second starts of each command."),
    first: float = typer.Option(60.0, help="Seconds that a first start may take, at most."),
    only: str = typer.Option("", help="Commands that begin with this."),
) -> None:
    """Print a table of the seconds to the first output of every command."""
    print("| command | second start, s | processor, s | first output |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        _prepare(Path(folder))
        for command in COMMANDS:
            if command.startswith(only):
                print(f"| {_row(command, Path(folder), tries, first)} |", flush=True)


def _prepare(folder: Path) -> None:
    """Write what the commands read."""
    (folder / "tiny.toml").write_text(TINY)
    (folder / "loss.py").write_text(LOSS)
    program = (
        "import numpy as np, sys; from pathlib import Path; rng = np.random.default_rng(0)\n"
        "Path('path').mkdir()\n"
        "for step in range(4): np.savez(f'path/{step}.npz', weight=rng.normal(size=(8, 8)))"
    )
    subprocess.run([sys.executable, "-c", program], cwd=folder, check=True)


def _row(command: str, folder: Path, tries: int, first: float) -> str:
    """Start a command often; return its cells of the table."""
    _start(command, folder, first, to_the_end=True)
    seconds, work, said = min(_start(command, folder, first) for _ in range(tries))
    shown = said.replace("|", "/")
    return f"`discovery {command}` | {number(seconds)} | {number(work)} | {shown}"


def _start(
    command: str, folder: Path, limit: float, to_the_end: bool = False
) -> tuple[float, float, str]:
    """Return the seconds to the first output of a process, the processor's, and its first line."""
    program = "import sys; from discovery.cli import main; sys.exit(main())"
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", program, *shlex.split(command)],
        cwd=folder, env=child({"DISCOVERY_CACHE": str(folder / "cache")}),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    with process.stdout:
        ready, _, _ = select.select([process.stdout], [], [], limit)
        taken = time.perf_counter() - began
        said = os.read(process.stdout.fileno(), 200).decode(errors="replace") if ready else ""
        if to_the_end:
            _read_out(process.stdout.fileno(), began + limit)
        with suppress(ProcessLookupError):  # it has ended, and so has what it started
            os.killpg(process.pid, signal.SIGKILL)
    used = os.wait4(process.pid, 0)[2]
    process.returncode = 0  # it is gone: nobody need wait for it again
    line = (said.strip().splitlines() or ["nothing"])[0].strip()
    return taken, used.ru_utime + used.ru_stime, line[:60]


def _read_out(output: int, until: float) -> None:
    """Read what a process says until it ends or its time is up."""
    while (left := until - time.perf_counter()) > 0:
        if select.select([output], [], [], min(left, 0.1))[0] and not os.read(output, 65536):
            return


if __name__ == "__main__":
    typer.run(main)
