"""Work that is cut off: damaged folders, kills, full disks, clocks that jump."""

import itertools
import os
import random
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np

import mpo
from benchmarks.faults.damage import Damage, broken, edited, renamed
from benchmarks.faults.jobs import Job
from benchmarks.faults.trials import Ended, Row, attempt, refusal
from mpo.log import JsonLog

ON = "the same command ends with the same bits"
DAMAGES: dict[str, tuple[Damage, ...]] = {
    ".json": (broken, edited, renamed),
    ".jsonl": (broken, edited),
    ".npz": (broken,),
}


def damaged(job: Job, folder: Path, trials: int) -> Row:
    """Damage a file of the folder of work that was cut off, and go on."""
    job.here(folder / "whole")
    expected = job.ends_with(folder / "whole")
    job.cut_off(folder / "cut")

    def ends() -> Iterator[Ended]:
        rng = np.random.default_rng(1)
        for number in range(trials):
            own = folder / str(number)
            shutil.copytree(folder / "cut", own)
            path = _chosen(own, rng)
            ways = DAMAGES.get(path.suffix, (broken,))
            path.write_bytes(ways[int(rng.integers(len(ways)))](path.read_bytes(), rng))
            ended = attempt(
                lambda own=own: job.here(own), lambda _, own=own: job.ends_with(own) == expected
            )
            if ended.how == "surprise":
                ended = Ended("surprise", f"{path.relative_to(own)}: {ended.said}")
            yield ended
            shutil.rmtree(own)

    return Row.of(
        f"{job.name}, cut off: one of its files damaged",
        f"refused in a line, or {ON}",
        ends(),
    )


def _chosen(folder: Path, rng: np.random.Generator) -> Path:
    """Return a file: every other time one of the folder itself, and not of one in it."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.stat().st_size)
    near = [p for p in files if p.parent == folder]
    chosen = near if rng.integers(2) else files
    return chosen[int(rng.integers(len(chosen)))]


def killed(job: Job, folder: Path, trials: int) -> Row:
    """Kill the process (SIGKILL) at any moment, again and again, until it gets to its end."""
    for _ in range(2):  # the first compiles
        shutil.rmtree(folder / "whole", ignore_errors=True)
        began = time.monotonic()
        said = _end(job, folder / "whole")
        assert not said, said
        lasts = time.monotonic() - began
    expected = job.ends_with(folder / "whole")

    def ends() -> Iterator[Ended]:
        rng, done = random.Random(2), 0
        for number in itertools.count():  # each in a folder of its own: one may end unkilled
            if done >= trials:
                return
            own, kills = folder / f"killed-{number}", 0
            while done + kills < trials:
                process = job.process(own)
                try:
                    process.communicate(timeout=rng.uniform(0.2, 1.0) * lasts)
                    break
                except subprocess.TimeoutExpired:
                    kills += 1
                finally:
                    process.kill()
                    process.communicate()
            said = _end(job, own)
            good = not said and job.ends_with(own) == expected
            done += kills
            yield from [Ended("whole") if good else Ended("surprise", said or "other bits")] * kills

    return Row.of(f"{job.name}: the process killed anywhere", ON, ends())


def _end(job: Job, folder: Path) -> str:
    """Let a process come to its end; return what it said, if that was not a success."""
    process = job.process(folder)
    _, said = process.communicate()
    return "" if process.returncode == 0 else said.strip()[-300:]


def no_room(job: Job, folder: Path, trials: int) -> Row:
    """Let no file grow beyond some size, as a full disk does; then make room."""
    job.here(folder / "whole")
    expected = job.ends_with(folder / "whole")
    sizes = [p.stat().st_size for p in (folder / "whole").rglob("*") if p.is_file()]
    rng = random.Random(3)

    def ends() -> Iterator[Ended]:
        for number in range(trials):
            own, room = folder / f"full-{number}", int(max(sizes) ** rng.uniform(0.1, 0.95))
            program = (
                "import resource; _, hard = resource.getrlimit(resource.RLIMIT_FSIZE); "
                f"resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, hard))"
            )
            process = job.process(own, program)
            _, said = process.communicate()
            last = (said.strip().splitlines() or [""])[-1]
            if process.returncode not in (0, 1, 2) or "Traceback" in said:
                yield Ended("surprise", f"room for {room} bytes: {said.strip()[-300:]}")
                continue
            if process.returncode and "discovery: " not in last:
                yield Ended("surprise", f"room for {room} bytes: {last[:200]}")
                continue
            yield attempt(
                lambda own=own: job.here(own), lambda _, own=own: job.ends_with(own) == expected
            )

    return Row.of(
        f"{job.name}: no file may grow beyond a size, as on a full disk; then room is made",
        f"said in a line, and {ON}",
        ends(),
    )


def clock(job: Job, folder: Path, trials: int) -> Row:
    """Let the clock, and the times of files, jump by years, also while it is cut off."""
    job.here(folder / "whole")
    expected = job.ends_with(folder / "whole")
    rng, real = random.Random(4), time.time

    def jumping() -> float:
        return real() + rng.uniform(-3e8, 3e8)

    def nanoseconds() -> int:
        return int(jumping() * 1e9)

    def ends() -> Iterator[Ended]:
        for number in range(trials):
            own = folder / f"clock-{number}"
            with (
                mock.patch("time.time", jumping),
                mock.patch("time.time_ns", nanoseconds),
            ):
                job.cut_off(own)
                for path in own.rglob("*"):
                    os.utime(path, (jumping(), jumping()))
                yield attempt(
                    lambda own=own: job.here(own), lambda _, own=own: job.ends_with(own) == expected
                )

    return Row.of(f"{job.name}: the clock jumps by years, also while it is cut off", ON, ends())


def saves(folder: Path, trials: int) -> Row:
    """Write over an artifact, a dataset or a log where there is no room for it."""
    from envs import data

    rng = random.Random(5)
    numbers = np.random.default_rng(0).normal(size=(64, 2, 3, 2))
    old, new = mpo.objective("wide", noise=0.1), mpo.objective("wide", noise=0.2)
    about = mpo.Provenance(versions={}, seed=0, task="reach", config={})
    small = data.from_arrays(numbers[:8], numbers[:8])
    large = data.from_arrays(numbers, numbers)

    def artifact(own: Path, full: bool) -> bool:
        mpo.save(new if full else old, own / "it", about)
        return True

    def dataset(own: Path, full: bool) -> bool:
        (large if full else small).save(own / "d.npz")
        return True

    def log(own: Path, full: bool) -> bool:
        JsonLog(own / "log").add({"line": list(range(200 if full else 3))})
        return True

    def state(own: Path) -> object:
        if (own / "it.json").exists():
            return repr(mpo.load(own / "it").objective)
        if (own / "d.npz").exists():
            return len(data.load(own / "d.npz"))
        return str(JsonLog(own / "log").lines())

    def ends() -> Iterator[Ended]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        for number in range(trials):
            write = rng.choice((artifact, dataset, log))
            own = folder / f"save-{number}"
            own.mkdir()
            write(own, False)
            before, size = state(own), max(p.stat().st_size for p in own.iterdir())
            resource.setrlimit(resource.RLIMIT_FSIZE, (rng.randrange(4 * size), hard))
            try:
                failed = not write(own, True)
            except (OSError, mpo.RequestError) as error:
                failed = True
                yield refusal(str(error)) if state(own) == before else Ended("surprise", "lost")
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            if not failed:
                whole = state(own) != before
                yield Ended("whole") if whole else Ended("surprise", "nothing was written")

    return Row.of(
        "an artifact, a dataset or a log written where there is no room",
        "said in a line, and what was there is as it was; or written whole",
        ends(),
    )
