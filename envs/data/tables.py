"""Tables that other programs wrote: lines of JSON, parquet, or a Hugging Face dataset on disk.

What such a dataset saves (`Dataset.save_to_disk`) are streams of Arrow, which pyarrow reads as it
reads parquet: neither torch nor `datasets` is imported.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpo.errors import RequestError, unknown
from mpo.modules import extra

Row = Mapping[str, Any]
"""Values of a row by column: arrays, numbers, text, or `None` where there is nothing."""

JSON, PARQUET, SAVED = ("lines of JSON", "parquet", "a dataset saved to disk")
TRAIN = "train"
"""The split that is meant where none is named."""

_STATE, _SPLITS = "state.json", "dataset_dict.json"
_AT_ONCE = 256


@dataclass(frozen=True)
class Table:
    """Rows, read one after the other.

    Attributes:
      path: the file or folder.
      form: what it is.
      columns: their names; of what is nested, with dots: "chosen.actions".
      rows: gives the rows, with those of some columns.
    """

    path: Path
    form: str
    columns: tuple[str, ...]
    rows: Callable[[Sequence[str]], Iterator[Row]]


def is_table(path: Path) -> bool:
    """Return whether a file or folder is called as tables are."""
    return path.suffix in (".jsonl", ".parquet") or any(
        (path / name).is_file() for name in (_STATE, _SPLITS)
    )


def table(path: Path, split: str | None = None) -> Table:
    """Open a table.

    Args:
      path: a `.jsonl`, a `.parquet`, or the folder of a dataset that was saved to disk.
      split: of a folder that has several; by default `TRAIN`.

    Raises:
      RequestError: it cannot be read, or has no such split.
    """
    if split is not None and not (path / _SPLITS).is_file():
        raise RequestError(f"{path} has no splits: leave out split={split!r}")
    if path.suffix == ".jsonl":
        return _lines(path)
    return _arrow(path, split)


def _lines(path: Path) -> Table:
    def rows(columns: Sequence[str]) -> Iterator[Row]:
        try:
            with path.open(encoding="utf-8") as file:
                for number, line in enumerate(file, 1):
                    if line.strip():
                        yield _flat(_object(line, f"{path}, line {number}"))
        except (OSError, UnicodeError) as error:
            raise RequestError(f"{path} cannot be read: {error}") from error

    first = next(rows(()), None)
    if first is None:
        raise RequestError(f"{path} has no rows")
    return Table(path, JSON, tuple(first), rows)


def _object(line: str, where: str) -> Row:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{where} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise RequestError(f'{where} is no object of columns, such as {{"chosen": [1, 2]}}')
    return found


def _flat(row: Row, before: str = "") -> Row:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        inner = isinstance(value, dict)
        flat |= _flat(value, f"{before}{name}.") if inner else {f"{before}{name}": value}
    return flat


def _arrow(path: Path, split: str | None) -> Table:
    arrow = extra("pyarrow", "data", f"{path}")
    form = PARQUET if path.suffix == ".parquet" else SAVED

    def tables() -> Iterator[Any]:
        try:
            for batch in _of_parquet(path) if form == PARQUET else _of_streams(path, split):
                found = arrow.Table.from_batches([batch])
                while any(arrow.types.is_struct(kind) for kind in found.schema.types):
                    found = found.flatten()
                yield found
        except (OSError, arrow.ArrowException, ValueError, KeyError, TypeError) as error:
            if isinstance(error, RequestError):
                raise
            raise RequestError(f"{path} cannot be read: {error}") from error

    def rows(columns: Sequence[str]) -> Iterator[Row]:
        for found in tables():
            held = {name: found[name] for name in columns if name in found.column_names}
            for number in range(len(found)):
                yield {name: _value(column[number]) for name, column in held.items()}

    first = next(tables(), None)
    if first is None:
        raise RequestError(f"{path} has no rows")
    return Table(path, form, tuple(first.column_names), rows)


def _of_parquet(path: Path) -> Iterator[Any]:
    parquet = extra("pyarrow.parquet", "data", f"{path}")
    yield from parquet.ParquetFile(path).iter_batches(_AT_ONCE)


def _of_streams(path: Path, split: str | None) -> Iterator[Any]:
    import pyarrow

    if (path / _SPLITS).is_file():
        splits = json.loads((path / _SPLITS).read_text())["splits"]
        if (chosen := split or TRAIN) not in splits:
            raise unknown("split", chosen, splits)
        path = path / chosen
    for part in json.loads((path / _STATE).read_text())["_data_files"]:
        with pyarrow.memory_map(str(path / part["filename"])) as file:
            yield from pyarrow.ipc.open_stream(file)


def _value(scalar: Any) -> Any:
    """Return what a cell of Arrow holds: an array, where all lists in it are of one size."""
    if not scalar.is_valid:
        return None
    values = getattr(getattr(scalar, "value", scalar), "values", None)  # within an extension type
    return scalar.as_py() if values is None else nested(values)


def nested(values: Any) -> Any:
    """Return what an array of Arrow holds: numbers, or lists in lists if they are of many sizes."""
    shape, inner = [len(values)], values
    while hasattr(inner, "value_lengths"):
        widths = {*inner.value_lengths().to_pylist()}
        if len(widths) != 1 or None in widths:
            return values.to_pylist()
        shape.append(widths.pop())
        inner = inner.flatten()
    return inner.to_numpy(zero_copy_only=False).reshape(shape)
