"""The lines of a run: one for each generation, on disk before the next begins."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from discovery.strict_json import strict
from mpo import treefile
from mpo.jsonlines import Line, lines

__all__ = ["Line", "append", "cut", "lines"]


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
