"""Where the numbers of a run can be sent beside its own files: none of it is needed."""

import importlib.util
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from typing_extensions import override

from discovery.config import Config
from discovery.runs.watch import Everyone, Rates, Watcher, fitting
from mpo import treefile
from mpo.errors import RequestError, unknown
from mpo.log import Line


class TensorBoard(Watcher):
    """Writes each generation as scalars."""

    def __init__(self, folder: Path, config: Config, stack: ExitStack) -> None:
        """Open the event file, which `stack` closes."""
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(folder / "tensorboard"), write_to_disk=True)
        stack.callback(self._writer.close)

    @override
    def generation(self, line: Line) -> None:
        """Write the numbers of a generation as scalars."""
        for name, value in _scalars(line).items():
            self._writer.add_scalar(name, value, line["generation"])
        self._writer.flush()


class WeightsAndBiases(Watcher):
    """Sends each generation to Weights & Biases; its own settings are its environment variables."""

    def __init__(self, folder: Path, config: Config, stack: ExitStack) -> None:
        """Begin, or go on with, the run of this folder, which keeps the name W&B knows it by."""
        import wandb

        known = folder / "wandb-id"
        if not known.exists():
            treefile.replace(known, f"{uuid.uuid4().hex}\n".encode())
        self._run = wandb.init(
            project="preference-discovery",
            id=known.read_text().strip(),
            name=folder.resolve().name,
            dir=str(folder),
            config=config.as_json(),
            resume="allow",
        )
        stack.callback(self._run.finish)

    @override
    def generation(self, line: Line) -> None:
        """Send the numbers of a generation."""
        self._run.log(_scalars(line), step=line["generation"])


TRACKERS: Mapping[str, Callable[[Path, Config, ExitStack], Watcher]] = MappingProxyType(
    {"tensorboard": TensorBoard, "wandb": WeightsAndBiases}
)

PACKAGES: Mapping[str, str] = MappingProxyType({"tensorboard": "tensorboardX", "wandb": "wandb"})
"""What each tracker needs."""


def check(trackers: Sequence[str]) -> None:
    """Refuse trackers that there are not, or whose package is not installed."""
    for name in trackers:
        if name not in TRACKERS:
            raise unknown("tracker", name, TRACKERS)
        if importlib.util.find_spec(package := PACKAGES[name]) is None:
            raise RequestError(f"{name} is not installed: pip install {package}")


@contextmanager
def watching(
    config: Config, rates: Rates, folder: Path, trackers: Sequence[str], quiet: bool
) -> Iterator[Watcher]:
    """Open the display that fits, and the trackers asked for; all are closed in the end."""
    with ExitStack() as stack:
        display = [] if quiet else [fitting(rates, stack)]
        tracking = [TRACKERS[name](folder, config, stack) for name in trackers]
        yield Everyone([*display, *tracking])


def _scalars(line: Line) -> dict[str, float]:
    flat: dict[str, Any] = {f"fitness/{n}": line[n] for n in ("mean", "best", "worst", "spread")}
    flat |= {f"probe/{name}": line[name] for name in ("middle", "start")}
    flat |= {f"seconds/{name}": value for name, value in line["split"].items()}
    flat |= {"search/distance": line["distance"], "search/not_finite": line["not_finite"]}
    return {name: float(value) for name, value in flat.items() if value is not None}
