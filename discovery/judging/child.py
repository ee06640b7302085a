"""The process in which a loss is judged, and the limits it is held to.

The file of a stranger is imported here and nowhere else, after the memory of the process was
bounded, and the process is killed once its time is over. That guards against accidents, not
against malice: the file runs with the rights of whoever named it.
"""

import contextlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from discovery.host.stopping import Interrupted, Stop
from mpo.errors import RequestError

Event = dict[str, Any]
"""What the process tells, in a line of JSON: a table with one entry, by what happened."""

READY, PASSED, REFUSED, FINISHED = ("ready", "passed", "refused", "finished")
_GIB: Final = 2**30
_TO_END: Final = 5.0
"""Seconds that a process has to end once it said all."""


@dataclass(frozen=True)
class Limits:
    """What a loss may use.

    Attributes:
      seconds: for its file to be imported, and the loss to be checked.
      minutes: for everything after that.
      memory: GiB of address space, beyond what the process has when the file is imported.
    """

    seconds: float = 60.0
    minutes: float = 120.0
    memory: float = 8.0

    def __post_init__(self) -> None:
        """Refuse what is no limit."""
        for name, value in asdict(self).items():
            if not value > 0:
                raise RequestError(f"--{name} is {value:g}: it must be above 0")


def events(request: Mapping[str, Any], limits: Limits, stop: Stop) -> Iterator[Event]:
    """Judge a loss in a process of its own, and yield what that tells, as it comes.

    Args:
      request: what `main` reads.
      limits: that the process is held to.
      stop: is asked whether the work is to end.

    Raises:
      Interrupted: it is.
      RequestError: the loss was refused, used more than it may, or ended the process.
    """
    place = request["loss"]
    # -P: a file of the working folder with the name of a package is not imported in its place.
    command = [sys.executable, "-P", "-m", "discovery.judging.child"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(json.dumps({**request, "memory": limits.memory}).encode())
            child.stdin.close()
            end, over = [float("inf")], ""
            for line in _lines(child.stdout.fileno(), end, stop):
                if line is None:
                    raise RequestError(f"{place} {over}")
                event: Event = json.loads(line)
                if READY in event:
                    end[0] = time.monotonic() + limits.seconds
                    over = f"took longer than {limits.seconds:g} s to be checked (--seconds)"
                    continue
                if PASSED in event:
                    end[0] = time.monotonic() + 60 * limits.minutes
                    over = (
                        f"took longer than {limits.minutes:g} minutes (--minutes): what is done is "
                        "kept, and the same command goes on"
                    )
                elif REFUSED in event:
                    raise RequestError(event[REFUSED])
                elif FINISHED in event:
                    return
                yield event
            raise RequestError(f"{place} {_ending(child)}")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)


def _lines(out: int, end: Sequence[float], stop: Stop) -> Iterator[bytes | None]:
    """Yield the lines of a process; `None` once `end`, which may be moved meanwhile, is over."""
    rest = b""
    while True:
        if stop():
            raise Interrupted("stopped; what is done is kept, and the same command goes on")
        if not select.select([out], [], [], 0.1)[0]:
            if time.monotonic() > end[0]:
                yield None
            continue
        if not (read := os.read(out, 2**16)):
            return
        *lines, rest = (rest + read).split(b"\n")
        yield from lines


def _ending(child: "subprocess.Popen[bytes]") -> str:
    """Say how a process ended that did not say all it was to."""
    try:
        status = child.wait(_TO_END)
    except subprocess.TimeoutExpired:
        return "closed the output of its process, and was ended"
    if status < 0:
        name = signal.Signals(-status).name
        return f"ended its process by {name}: it is out of memory (--memory), or native code failed"
    return f"ended its process, with status {status}, before it was judged"


def main() -> None:
    """Judge the loss of the request on the standard input; tell the standard output, in JSON.

    A request has `loss`, a file or a name; `sealed`, a set; `plugins`; `done`, what is known of
    the loss already; and `memory`. What the loss itself prints goes to the standard error.
    """
    request = json.load(sys.stdin)
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1) as out:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

        def tell(event: Event) -> None:
            print(json.dumps(event, allow_nan=False), file=out, flush=True)

        try:
            _judge(request, tell)
            tell({FINISHED: True})
        except RequestError as error:
            tell({REFUSED: " ".join(str(error).split())})
        except Exception as error:
            if not _is_memory(error):
                traceback.print_exc()
                tell({REFUSED: f"{request['loss']} failed: {type(error).__name__}: {error}"})
                return
            memory = f"{request['memory']:g} GiB"
            tell({REFUSED: f"{request['loss']} needs more memory than {memory} (--memory)"})


def _judge(request: Mapping[str, Any], tell: Callable[[Event], None]) -> None:
    from discovery.host import startup

    startup.host_devices()
    startup.compilation_cache()
    import jax

    from discovery import plugins
    from discovery.judging import stranger, trial
    from discovery.judging.sealed import SealedSet

    jax.block_until_ready(jax.numpy.zeros(()))  # devices have their memory before it is bounded
    plugins.load(request["plugins"])
    _bound(request["memory"])
    tell({READY: True})
    found = stranger.find(request["loss"])
    tell({PASSED: asdict(found)})
    trial.judge(SealedSet.of(request["sealed"]), found.name, request["done"], tell)


def _bound(memory: float) -> None:
    """Let this process have so many GiB more, where the system can say what it has and will."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        held = int(statm.read_text().split()[0]) * resource.getpagesize()
        limit = held + int(memory * _GIB)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _is_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)


if __name__ == "__main__":
    main()
