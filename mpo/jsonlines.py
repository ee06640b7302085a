"""Files of JSON objects, one a line, that are added to as work goes on."""

import json
from pathlib import Path
from typing import Any

Line = dict[str, Any]


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
