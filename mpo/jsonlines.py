"""Logs: files of JSON objects, one a line, added to as work goes on; and numbers JSON lacks.

What is not finite is null in a file, and NaN again when it is read.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mpo import treefile

Line = dict[str, Any]


def strict(value: Any) -> Any:
    """Return plain values with `None` for every number that is not finite."""
    if isinstance(value, Mapping):
        return {name: strict(inner) for name, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [strict(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def numbers(values: Mapping[str, float | None]) -> dict[str, Any]:
    """Return named numbers with NaN for every `None`."""
    return {name: math.nan if value is None else value for name, value in values.items()}


def append(path: Path, line: Mapping[str, Any]) -> None:
    """Add a line; a number that is not finite is written as null."""
    with path.open("a") as file:
        file.write(json.dumps(strict(line), allow_nan=False) + "\n")
        file.flush()


def cut(path: Path, generation: int) -> list[Line]:
    """Drop the lines of generations that no checkpoint knows, and return the others."""
    kept = [line for line in lines(path) if line["generation"] < generation]
    text = "".join(json.dumps(line) + "\n" for line in kept)
    treefile.replace(path, text.encode())
    return kept


def lines(path: Path) -> list[Line]:
    """Return the lines that are whole; the last may have been cut off by an interruption."""
    if not path.exists():
        return []
    whole = []
    for text in path.read_text(errors="replace").splitlines():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            break
        if not isinstance(line, dict):
            break
        whole.append(line)
    return whole
