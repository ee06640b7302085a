"""The host's side of a discovery: compiled generations, after each a line and a checkpoint.

Interrupted at any moment and called again, a run ends with the numbers of one that was not
interrupted, bit for bit: all randomness follows from the seed and the generation, and the
checkpoint holds everything else.
"""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from discovery.host.processes import primary, same_everywhere
from discovery.host.stopping import Interrupted, Stop
from discovery.runs.folder import Folder
from discovery.runs.lines import of_a_generation
from discovery.runs.watch import Watcher
from discovery.search.search import Measured, Search, State
from mpo.log import JsonLog, Line
from mpo.versions import versions

if TYPE_CHECKING:
    from discovery.runs.checkpoints import Checkpoints

PACKAGES = ("preference-discovery", "jax", "jaxlib", "evosax", "optax", "brax", "numpy")


@dataclass(frozen=True)
class Progress:
    """Where a search has come to.

    Attributes:
      state: the search's state after the last generation.
      lines: one for each generation so far.
    """

    state: State
    lines: list[Line]


def climb(search: Search, folder: Folder, watcher: Watcher, stop: Stop) -> Progress:
    """Run all generations that `folder` does not have yet.

    Raises:
      Interrupted: `stop` returned true before the last generation.
    """
    from discovery.runs.checkpoints import Checkpoints  # orbax takes half a second

    checkpoints = Checkpoints(folder.checkpoints)
    try:
        state, lines = _resume(search, folder, checkpoints, watcher)
        spent = lines[-1]["seconds"] if lines else 0.0
        last = search.config.search.generations
        while (done := int(state.generation)) < last:
            if same_everywhere(stop()):
                raise Interrupted(
                    f"stopped after generation {done} of {last}; the same command goes on"
                )
            before = time.monotonic()
            state, line = _generation(search, state)
            spent += time.monotonic() - before
            line |= {"seconds": round(spent, 3)}
            if primary():
                JsonLog(folder.metrics).add(line)
                checkpoints.save(done + 1, state, {"versions": versions(*PACKAGES)})
            lines.append(line)
            watcher.generation(line)
        return Progress(state, lines)
    finally:
        checkpoints.close()


def _generation(search: Search, state: State) -> tuple[State, Line]:
    clock = _Clock()
    members, asked = jax.block_until_ready(search.ask(state))
    clock.lap("ask")
    trained = jax.block_until_ready(search.train(members, asked))
    clock.lap("train")
    measured = search.score(trained)
    clock.lap("score")
    told = jax.block_until_ready(search.tell(asked, members, measured))
    clock.lap("tell")
    return told, _line(search, state, told, measured) | {"split": clock.laps}


def _line(search: Search, before: State, after: State, measured: Measured) -> Line:
    finite = measured.members[np.isfinite(measured.members)]
    zeta = np.asarray(search.strategy.mean(after.strategy))
    some = finite.size > 0
    return {
        "generation": int(before.generation),
        "mean": float(finite.mean()) if some else None,
        "best": float(finite.max()) if some else None,
        "worst": float(finite.min()) if some else None,
        "spread": float(finite.std()) if some else None,
        "middle": measured.middle,
        "start": measured.start,
        "not_finite": int(measured.members.size - finite.size),
        "distance": float(np.linalg.norm(zeta - np.asarray(search.candidates(after)["start"]))),
    }


def _resume(
    search: Search, folder: Folder, checkpoints: "Checkpoints", watcher: Watcher
) -> tuple[State, list[Line]]:
    state = search.init()
    if primary():
        found = checkpoints.newest(state, watcher.say)
        if found is not None:
            state = found.state
            now, then = versions(*PACKAGES), found.about.get("versions", {})
            if changed := [f"{p} {then.get(p)} -> {now.get(p)}" for p in now if now != then]:
                watcher.say(
                    "packages changed since this run was begun, so its numbers may not be those "
                    f"of an uninterrupted one: {', '.join(changed)}"
                )
    state = jax.tree.map(jnp.asarray, same_everywhere(state))
    generation = int(state.generation)  # of the checkpoint, which has seen no later lines
    log = JsonLog(folder.metrics)
    lines = log.cut(lambda line: _before(line, generation)) if primary() else []
    if generation and primary():
        watcher.say(f"going on after generation {generation}")
    if len(lines) < generation and primary():
        watcher.say(
            f"{folder.metrics.name} is damaged: it has {len(lines)} of {generation} generations, "
            "and the figure of the search will have no others; what is found is the same"
        )
    return state, lines


def _before(line: Line, generation: int) -> bool:
    return of_a_generation(line) and line["generation"] < generation


class _Clock:
    """Measures the parts of a generation: `laps` has the seconds of each, by name."""

    def __init__(self) -> None:
        self.laps: dict[str, Any] = {}
        self._before = time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.laps[name], self._before = round(now - self._before, 4), now
