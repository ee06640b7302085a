"""A page that plays what bodies did, side by side: one file, which asks nothing of a network."""

import html
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float


class Take(NamedTuple):
    """What one body did.

    Attributes:
      name: that is shown above it.
      seconds: from a picture to the next.
      a, b: ends of its rods in metres, picture by picture.
      radius: of each rod, in metres.
      colour: of each rod, from 0 to 1.
    """

    name: str
    seconds: float
    a: Float[np.ndarray, "pictures rods 3"]
    b: Float[np.ndarray, "pictures rods 3"]
    radius: Float[np.ndarray, "rods"]
    colour: Float[np.ndarray, "rods 3"]


def page(takes: Sequence[Take]) -> str:
    """Return a page with every take in it; all have one pace, and the shorter ones wait."""
    template = (resources.files("envs") / "player.html").read_text()
    data = json.dumps([_plain(take) for take in takes], separators=(",", ":"))
    # In a script no entity is read, but its end is: a name may have anything in it.
    title = html.escape(", ".join(take.name for take in takes))
    data = data.replace("<", "\\u003c")
    return template.replace("TAKES", data, 1).replace("What agents do", title, 1)


def _plain(take: Take) -> dict[str, Any]:
    rods = np.concatenate([take.a, take.b], axis=-1)
    return {
        "name": take.name,
        "seconds": take.seconds,
        "reach": max(1.0, float(np.ptp(take.a[0, :, 2]))),
        "rods": np.round(rods.astype(float), 3).tolist(),
        "radius": np.round(take.radius.astype(float), 4).tolist(),
        "colour": np.round(take.colour.astype(float), 3).tolist(),
    }
