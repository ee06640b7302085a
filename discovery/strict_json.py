"""Numbers that JSON lacks: what is not finite is null in a file, and NaN again when it is read."""

import math
from collections.abc import Mapping, Sequence
from typing import Any


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
