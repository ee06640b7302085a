"""A front in a folder: its numbers, its figure, and each closed form as an objective to load."""

import dataclasses
import json
from pathlib import Path
from typing import Final

import mpo
from discovery.closed_form.figure import draw
from discovery.closed_form.fitting import Front
from mpo import Provenance, treefile
from mpo.versions import versions

NUMBERS, FIGURE = "front.json", "front.png"
_PACKAGES: Final = ("preference-discovery", "jax", "numpy", "scipy")


def write(front: Front, name: str, origin: Provenance | None, out: Path) -> None:
    """Write front.json, front.png, and the artifact of each closed form under its name.

    Args:
      front: the fits, one for each number of terms.
      name: what it was fitted to.
      origin: of what it was fitted to, if it was discovered.
      out: the folder that is written.
    """
    for point in front.points:
        about = {"of": name, "error": point.error, "terms": point.size}
        mpo.save(point.objective(), out / point.name, _provenance(about, origin))
    content = {"objective": name, **front.as_json()}
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    treefile.replace(out / NUMBERS, text.encode())
    draw(front, out / FIGURE)


def _provenance(about: dict[str, object], origin: Provenance | None) -> Provenance:
    """Return where a closed form comes from: the same, but for what its own agents would earn."""
    if origin is None:
        return Provenance(versions=versions(*_PACKAGES), extra={"closed_form": about})
    return dataclasses.replace(
        origin,
        versions={**origin.versions, **versions(*_PACKAGES)},
        fitness=None,
        results={},
        extra={**origin.extra, "closed_form": about},
    )
