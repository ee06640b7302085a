"""Closed forms in the report of a run: those that `discovery fit` found for its objective."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from discovery.evidence import Table, markdown
from discovery.evidence.evaluation import RESULTS, read_table
from mpo.errors import RequestError

FOLDER, NUMBERS, FIGURE = Path("closed_forms"), "front.json", "front.png"


def parts(folder: Path) -> Iterator[str]:
    """Yield blocks of Markdown: formulas from short to long, what they miss, and what they earn.

    Args:
      folder: of the run.

    Raises:
      RequestError: the closed forms are damaged.
    """
    place = folder / FOLDER
    if not (place / NUMBERS).exists():
        return
    evaluation = place / "evaluation"
    table = read_table(evaluation) if (evaluation / RESULTS).exists() else None
    yield "## In closed form"
    yield (
        "Short formulas in x = π that pull and push as the objective does where a training "
        "lives, for −ψ(π(chosen)) − λ log σ(φ⁻¹(π(chosen)) − φ⁻¹(π(rejected))); the error is the "
        "root mean square of the misfit of the slopes, as a share of theirs."
    )
    yield markdown.table(
        ("name", "ψ(x)", "φ⁻¹(x)", "λ", "error", "mean return"),
        [_row(point, table) for point in _points(place / NUMBERS)],
    )
    if (place / FIGURE).exists():
        yield markdown.figure("Error against size, and the slopes", f"{FOLDER}/{FIGURE}")


def _points(path: Path) -> list[dict[str, Any]]:
    wanted = {"name", "psi_formula", "phi_inv_formula", "lam", "error"}
    try:
        points = json.loads(path.read_text())["points"]
        if all(wanted <= point.keys() for point in points):
            return list(points)
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise RequestError(f"{path} is damaged: {error!r}") from error
    raise RequestError(f"{path} is damaged: a closed form in it has no formula")


def _row(point: Mapping[str, Any], table: Table | None) -> list[str]:
    earned = {row.name: str(row.mean) for row in table.rows} if table else {}
    return [
        markdown.escaped(str(point["name"])),
        markdown.code(str(point["psi_formula"])),
        markdown.code(str(point["phi_inv_formula"])),
        markdown.escaped(str(point["lam"])),
        markdown.escaped(f"{point['error']:.2g}" if point["error"] is not None else ""),
        markdown.escaped(earned.get(str(point["name"]), "")),
    ]
