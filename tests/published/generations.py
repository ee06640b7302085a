"""Writes two generations of shipped searches at a small size, as JSON.

    python -m tests.published.generations OUT.json [SEARCH…]

In a process of its own, as a user's: without the tests' compiler flags, import hook or promotion.
"""

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from discovery import config
from discovery.host import startup

SMALL: Mapping[str, Mapping[str, Any]] = {
    # As it was published, so that what is committed of that run says what comes out.
    "quick": {},
    "hopper-small": {
        "task.settings": {"horizon": 100},
        "data.rows": 16,
        "training.hyper.updates": 12,
        "search.population": 6,
        "search.episodes": 2,
    },
}


def machine() -> str:
    """Return what decides the last bit of a sum: the instructions of this processor, and JAX."""
    from mpo.versions import versions

    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    flags = next((line for line in lines if line.startswith("flags")), "")
    return hashlib.sha256(f"{flags} {versions('jaxlib')}".encode()).hexdigest()[:16]


def generations(name: str, count: int = 2) -> dict[str, Any]:
    """Return fitness of every member, and the middle of the search after each generation."""
    import numpy as np

    from discovery.host.processes import all_devices
    from discovery.search import situation
    from discovery.search.search import Search
    from discovery.search.streams import Purpose

    described = config.changed(config.preset(name), SMALL[name])
    ground = situation.prepare(described, Purpose.DISCOVERY, all_devices())
    search = Search(described, ground)
    state, fitness, means = search.init(), [], []
    for _ in range(count):
        members, asked = search.ask(state)
        measured = search.score(search.train(members, asked))
        state = search.tell(asked, members, measured)
        fitness.append([float(one) for one in measured.members])
        fitness[-1] += [measured.middle, measured.start]
        means.append([float(one) for one in np.asarray(search.strategy.mean(state.strategy))])
    return {"fitness": fitness, "means": means}


if __name__ == "__main__":
    startup.host_devices()
    names = sys.argv[2:] or list(SMALL)
    made = {"machine": machine(), **{name: generations(name) for name in names}}
    Path(sys.argv[1]).write_text(json.dumps(made, indent=1) + "\n")
