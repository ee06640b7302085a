"""What a training without gradients did, in a few numbers an update: enough to do it again."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from mpo import treefile
from mpo.claim import differences
from mpo.errors import RequestError

LEDGER: Final = "ledger.npz"
"""Its file in the folder of a model or a checkpoint."""


class Entry(NamedTuple):
    """An update; its numbers are as precise as float32, which is what was applied.

    Attributes:
      number: of the update, from 0; with the seed of the ledger it gives the directions.
      rate: the learning rate.
      alpha: α, the weight of the guide; 0 without one.
      scalars: s, the slope along each direction, q numbers.
    """

    number: int
    rate: float
    alpha: float
    scalars: tuple[float, ...]


@dataclass
class Ledger:
    """All updates of a training; skipped ones are not among them.

    Its file takes 16 bytes an update, and 4 for each further direction.

    Attributes:
      about: what they were made with, as plain JSON values.
      entries: the updates.
    """

    about: Mapping[str, Any]
    entries: list[Entry] = field(default_factory=list)

    def pack(self) -> bytes:
        """Return the content of its file."""
        directions = len(self.entries[0].scalars) if self.entries else 1
        kinds = [
            ("number", "i4"),
            ("rate", "f4"),
            ("alpha", "f4"),
            ("scalars", "f4", (directions,)),
        ]
        about = np.frombuffer(json.dumps(dict(self.about)).encode(), np.uint8)
        buffer = io.BytesIO()
        np.savez(buffer, about=about, entries=np.array(self.entries, kinds))
        return buffer.getvalue()

    @classmethod
    def unpack(cls, content: bytes, name: object = "this") -> "Ledger":
        """Return the ledger in the content of a file, which `name` names in the message.

        Raises:
          RequestError: it is damaged.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                rows, about = arrays["entries"], json.loads(arrays["about"].tobytes())
            entries = [Entry(*map(_plain, row)) for row in rows]
        except Exception as error:  # readers of damaged files raise many kinds
            raise RequestError(f"{name} is no ledger of a training: {error}") from error
        return cls(about, entries)

    def save(self, path: Path | str) -> None:
        """Write it to a file, whole."""
        treefile.replace(Path(path), self.pack())

    @classmethod
    def load(cls, path: Path | str) -> "Ledger":
        """Return the ledger in a file, or in the folder of a model or a checkpoint.

        Raises:
          RequestError: there is none, or it is damaged.
        """
        file = Path(path) / LEDGER if Path(path).is_dir() else Path(path)
        if not file.is_file():
            raise RequestError(f"there is no {file}: name the ledger of a training")
        return cls.unpack(file.read_bytes(), file)

    def odd(self, then: "Ledger") -> str:
        """Return how another one was made differently, but for the version of torch, if at all."""
        one, other = ({**about, "torch": None} for about in (self.about, then.about))
        return "; ".join(differences(json.loads(json.dumps(one)), other))


def _plain(value: Any) -> Any:
    listed = value.tolist()
    return tuple(listed) if isinstance(listed, list) else listed
