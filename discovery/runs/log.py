"""The lines of a run: one for each generation, on disk before the next begins."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from discovery.strict_json import strict
from mpo import treefile

Line = dict[str, Any]


def append(path: Path, line: Mapping[str, Any]) -> None:
    """Add a line; a number that is not finite is written as null."""
    with path.open("a") as file:
        file.write(json.dumps(strict(line), allow_nan=False) + "\n")
        file.flush()


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


def cut(path: Path, generation: int) -> list[Line]:
    """Drop the lines of generations that no checkpoint knows, and return the others."""
    kept = [line for line in lines(path) if line["generation"] < generation]
    text = "".join(json.dumps(line) + "\n" for line in kept)
    treefile.replace(path, text.encode())
    return kept
