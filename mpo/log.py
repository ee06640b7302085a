"""Logs: files of lines that are added to as work goes on, and survive being cut off at any byte.

    log = JsonLog(folder / "metrics.jsonl")
    log.add({"generation": 3, "best": 0.5})

JSON has no numbers that are not finite: they are null in a file, and NaN again by `numbers`.
"""

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpo import treefile

Line = dict[str, Any]

Say = Callable[[str], None]
"""Is told, in a line for people, what goes on."""


@dataclass(frozen=True)
class Log:
    """A file of lines; half a line, left by an interruption, is none.

    Reading changes nothing: another process may be writing.

    Attributes:
      path: of the file, which need not be there.
    """

    path: Path

    def texts(self) -> list[str]:
        """Return the lines."""
        if not self.path.exists():
            return []
        content = self.path.read_bytes()
        # Not `splitlines`: a line may have any other separator that Unicode knows in it.
        return content[: _whole(content)].decode(errors="replace").split("\n")[:-1]

    def write(self, texts: Iterable[str]) -> None:
        """Add lines, on disk before this returns; half a line is cut off before."""
        new = "".join(f"{text}\n" for text in texts).encode()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            file.seek(0)
            content = file.read()
            if (whole := _whole(content)) < len(content):
                file.truncate(whole)
            file.write(new)
            file.flush()
            os.fsync(file.fileno())


@dataclass(frozen=True)
class JsonLog(Log):
    """A log of JSON objects, one a line."""

    def lines(self) -> list[Line]:
        """Return the objects; a line that is none is passed over."""
        return [line for text in self.texts() if (line := _parsed(text)) is not None]

    def add(self, line: Mapping[str, Any]) -> None:
        """Add an object."""
        self.write([json.dumps(strict(line), allow_nan=False)])

    def cut(self, keep: Callable[[Line], bool]) -> list[Line]:
        """Drop the lines that are not to be kept, and return the others."""
        kept = [line for line in self.lines() if keep(line)]
        text = "".join(json.dumps(line) + "\n" for line in kept)
        treefile.replace(self.path, text.encode())
        return kept


def _whole(content: bytes) -> int:
    """Return how many bytes are whole lines."""
    return content.rfind(b"\n") + 1


def _parsed(text: str) -> Line | None:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):  # also of a number too long, or of too many brackets
        return None
    return line if isinstance(line, dict) else None


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


def is_number(value: object) -> bool:
    """Return whether a value of a line is a number: of JSON, `true` is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)
