"""Processes that write until they are killed, or that want one folder at once.

What they import is imported once, by the process they are forked from; it computes nothing.
"""

import json
import multiprocessing
import random
import time
from collections.abc import Callable, Iterator
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np

import mpo
from benchmarks.faults.trials import Ended, Row
from envs import data
from mpo.claim import Claim
from mpo.errors import RequestError
from mpo.log import JsonLog

ROOM = 200
"""Of the numbers in a line, an artifact's provenance or a dataset."""


def contexts() -> "multiprocessing.context.ForkServerContext":
    """Return how processes are started: each as a copy of one that has imported this module."""
    context = multiprocessing.get_context("forkserver")
    # Of `mpo` its parts, too, which would otherwise be imported by every process when it asks.
    context.set_forkserver_preload([__name__, "mpo.artifact", "mpo.objectives"])
    return context


def artifact(folder: Path, number: int) -> None:
    """Write an artifact over the one before."""
    config = {"filling": [number] * ROOM}
    about = mpo.Provenance(versions={}, seed=number, task="reach", config=config)
    mpo.save(mpo.objective("dpo", beta=1.0 + number), folder / "it", about)


def dataset(folder: Path, number: int) -> None:
    """Write a dataset over the one before."""
    values = np.full((ROOM, 2, 3, 2), number, np.float32)
    data.from_arrays(values, values).save(folder / "d.npz")


def log(folder: Path, number: int) -> None:
    """Write a line after those before."""
    JsonLog(folder / "log").add({"number": number, "filling": [number] * ROOM})


def request(folder: Path, number: int) -> None:
    """Claim a folder for a request, which it is already or becomes."""
    with Claim(folder / "run", "config.json", "run").held({"filling": [0] * ROOM}):
        pass


def read_artifact(folder: Path) -> int:
    """Return the number of the artifact; it must be whole."""
    found = mpo.load(folder / "it")
    number = found.provenance.seed
    assert number is not None
    assert found.objective == mpo.objective("dpo", beta=1.0 + number)
    return number


def read_dataset(folder: Path) -> int:
    """Return the number in all places of the dataset."""
    (number,) = np.unique(data.load(folder / "d.npz").outputs)
    return int(number)


def read_log(folder: Path) -> int:
    """Return the number of the last line; those before must be there."""
    lines = JsonLog(folder / "log").lines()
    assert [line["number"] for line in lines] == [*range(len(lines))]
    return len(lines) - 1


def read_request(folder: Path) -> int:
    """Claim the folder again."""
    request(folder, 0)
    return 0


Write = Callable[[Path, int], None]
WRITERS: tuple[tuple[Write, Callable[[Path], int]], ...] = (
    (artifact, read_artifact), (dataset, read_dataset), (log, read_log), (request, read_request),
)  # fmt: skip


def for_ever(write: Write, folder: Path, begun: Event) -> None:
    """Write one after another, until somebody puts an end to it."""
    write(folder, 0)
    begun.set()
    number = 1
    while True:
        write(folder, number)
        (folder / "done").write_text(str(number))
        number += 1


def killed(folder: Path, trials: int) -> Row:
    """Kill processes (SIGKILL) that write artifacts, datasets, logs and claims."""
    rng, context = random.Random(6), contexts()

    def ends() -> Iterator[Ended]:
        for number in range(trials):
            write, read = WRITERS[number % len(WRITERS)]
            own, begun = folder / str(number), context.Event()
            own.mkdir()
            process = context.Process(target=for_ever, args=(write, own, begun))
            process.start()
            begun.wait(60)
            time.sleep(rng.uniform(0.0, 0.02))
            process.kill()
            process.join()
            yield _after_kill(write, read, own)

    return Row.of(
        "an artifact, a dataset, a log or a claim: the process that writes it killed anywhere",
        "what is there is the last that was written, whole, and can be written over",
        ends(),
    )


def _after_kill(write: Write, read: Callable[[Path], int], folder: Path) -> Ended:
    done = folder / "done"
    text = done.read_text() if done.exists() else ""
    try:
        found = read(folder)
        if write is not request and found < int(text or 0):
            return Ended("surprise", f"{write.__name__}: {found} is there, and {text} was written")
        write(folder, found + 1)
        read(folder)
    except Exception as error:
        return Ended("surprise", f"{write.__name__}: {error!r}"[:300])
    return Ended("whole")


def wanting(folder: Path, go: Event, results: "multiprocessing.Queue[str]", rounds: int) -> None:
    """Want each of several folders as soon as it may be had; say how it went."""
    for number in range(rounds):
        claim = Claim(folder / str(number), "config.json", "run")
        go.wait()
        while not (folder / f"go-{number}").exists():
            time.sleep(0.0002)
        try:
            with claim.held({"seed": number}):
                results.put("held")
                while not (folder / f"end-{number}").exists():
                    time.sleep(0.001)
        except RequestError as error:
            said = str(error)
            results.put("refused" if "is at work in" in said and "\n" not in said else said)
        except Exception as error:
            results.put(repr(error))
        while not (folder / f"end-{number}").exists():
            time.sleep(0.001)


def at_once(folder: Path, trials: int, processes: int = 3) -> Row:
    """Let processes want one folder at the same moment."""
    context = contexts()
    results: multiprocessing.Queue[str] = context.Queue()
    go = context.Event()
    workers = [
        context.Process(target=wanting, args=(folder, go, results, trials), daemon=True)
        for _ in range(processes)
    ]
    for worker in workers:
        worker.start()
    go.set()

    def ends() -> Iterator[Ended]:
        for number in range(trials):
            (folder / f"go-{number}").touch()
            said = sorted(results.get(timeout=60) for _ in workers)
            (folder / f"end-{number}").touch()
            held = json.loads((folder / str(number) / "config.json").read_text())
            fine = said == ["held"] + ["refused"] * (processes - 1) and held == {"seed": number}
            yield Ended("whole") if fine else Ended("surprise", f"{said}"[:300])

    try:
        return Row.of(
            f"{processes} processes want one folder at the same moment",
            "one has it, and each of the others is refused in a line that names it",
            ends(),
        )
    finally:
        for worker in workers:
            worker.kill()
