"""Commands in this process: a folder that another holds, and Python that nobody asked for."""

import io
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from benchmarks.faults.jobs import Job
from benchmarks.faults.trials import Ended, Row, refusal
from benchmarks.faults.writers import contexts, wanting
from discovery.cli import main

REACH = ("--task", "reach", "--dataset", "shuffled", "--objective", "orpo")
EVIL = "open('executed', 'a').close()\n"
"""A module that leaves a mark where it is imported."""


def say(words: list[str]) -> tuple[int, str, str]:
    """Carry out a command; return its status, and what it printed and said."""
    printed, said = io.StringIO(), io.StringIO()
    with redirect_stdout(printed), redirect_stderr(said):
        status = main(words)
    return status, printed.getvalue(), said.getvalue()


def held_by_another(jobs: list[Job], folder: Path) -> Row:
    """Ask for work in a folder that a process holds."""
    context = contexts()
    (folder / "go-0").touch()
    go, results = context.Event(), context.Queue()
    holder = context.Process(target=wanting, args=(folder, go, results, 1), daemon=True)
    holder.start()
    go.set()
    assert results.get(timeout=60) == "held"
    held = folder / "0"
    asked = [
        *(job.command(held) for job in jobs),
        ["evaluate", *REACH, "--out", str(held)],
        ["leaderboard", "--task", "token_bandit", "--out", str(held)],
        ["paper", "table-1", "--out", str(held)],
        ["agents", "train", "--task", "hopper", "--target-return", "10", "--out", str(held)],
    ]

    def ends() -> Iterator[Ended]:
        for words in asked:
            before = _files(held)
            status, _, said = say(words)
            if status != 2 or _files(held) != before:
                yield Ended("surprise", f"{words[0]}: status {status}, {said[-200:]}")
            else:
                told = said.rfind("discovery: ")  # before it may stand what is being done
                yield refusal(said[told:] if told >= 0 else "")

    try:
        return Row.of(
            "a folder that another process holds, asked for by "
            f"{', '.join(dict.fromkeys(w[0] for w in asked))}",
            "refused in a line, and nothing is changed",
            ends(),
        )
    finally:
        holder.kill()


def _files(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def python_by_path(run: Path, folder: Path) -> list[Row]:
    """Name Python in files that commands read, and lay modules where they work.

    Args:
      run: a finished run.
      folder: to work in, empty.
    """
    copied = folder / "run"
    shutil.copytree(run, copied)
    described = json.loads((copied / "config.json").read_text())
    assert "plugins" not in described
    (copied / "config.json").write_text(json.dumps({**described, "plugins": ["evil.py"]}))
    for name in ("evil", "jax", "numpy", "mpo", "discovery", "sitecustomize", "reach"):
        (folder / f"{name}.py").write_text(EVIL)
    reading = [
        ["list"], ["list", "--family"], ["watch", "run"], ["report", "run"], ["landscape", "run"],
        ["export", "run", "--to", "jax"], ["export", "run", "--to", "json"], ["agents", "show"],
        ["data", "make", "--task", "reach", "--kind", "shuffled", "--rows", "16", "--out", "d.npz"],
        ["data", "show", "d.npz"], ["data", "show", "evil.py"], ["weights", "run"],
        ["landscape", "evil.py"], ["export", "evil.py"], ["landscape", "./evil"],
        ["evaluate", *REACH, "--objective", "run", "--seeds", "2", "--episodes", "4"],
        ["train", "--task", "evil.py", "--algorithm", "dpo"],
        ["train", "--task", "reach", "--algorithm", "evil.py"],
        ["run", "--preset", "evil.py", "--out", "new"],
    ]  # fmt: skip
    asking = [["--with", "evil.py", "list"], ["judge", "evil.py"]]
    with _inside(folder):
        return [
            Row.of(
                "Python named in the files that a command reads, or lying where it works",
                "not imported",
                [_marked(words, False) for words in reading],
            ),
            Row.of(
                "Python named by `--with`, or given to `judge`",
                "imported, or run in a process of its own",
                [_marked(words, True) for words in asking],
            ),
        ]


def _marked(words: list[str], expected: bool) -> Ended:
    mark = Path("executed")
    mark.unlink(missing_ok=True)
    status, _, said = say(words)
    if mark.exists() != expected:
        what = "it was not imported" if expected else "it was imported"
        return Ended("surprise", f"{' '.join(words)}: {what}; {said[-200:]}")
    if status == 0:
        return Ended("whole")
    return refusal(said) if status == 2 else Ended("surprise", f"{words[0]}: {said[-200:]}")


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
