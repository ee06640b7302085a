"""`SeededDescent`: an optimizer that has no gradient, only seeds and values of the loss."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from llm_transfer.trainers.ledger import Entry, Ledger
from llm_transfer.trainers.perturbation import (
    DECAYS,
    EXACT,
    Direction,
    Directions,
    Guide,
    Perturbation,
    plain,
    wide,
)
from mpo import treefile
from mpo.errors import RequestError
from mpo.settings import build

_SCHEMA: Final = 1

PATIENCE: Final = 10
"""Updates in a row that may be skipped before a training counts as diverged."""


class Estimate(NamedTuple):
    """What a few values of the loss told.

    Attributes:
      value: the loss, a mean over all points.
      scalars: s, how it changes along each direction for a unit of its length, q numbers.
      equal: the share of directions along which both values were the same.
    """

    value: float
    scalars: tuple[float, ...]
    equal: float


class SeededDescent(torch.optim.Optimizer):
    """Moves weights by −(rate)·s·z, with z drawn from a seed again and again.

        descent = SeededDescent(model.named_parameters(), lr=1e-3)
        loss = descent.step(lambda: loss_of(model, batch))      # two forward passes, no backward

    or, for the mean over several batches, `estimate` and `collect` for each before `step`.

    An update whose slope is not finite is skipped, and after `PATIENCE` of them the training is
    over. With `restore="exact"` it is the float32 copy that moves, and weights of less precision
    are its rounding.

    Args:
      weights: by name, as `model.named_parameters()`; those are moved that require a gradient.
      lr: the learning rate, which a scheduler may change.
      perturbation: how slopes are found.
      weight_decay: of kernels, which are weights of two dimensions or more; apart from the slope.
      seed: of all directions.
      guide: Δπ and ΔR of the last round; this training is then one round.
      updates: in this round, over which α falls.

    Attributes:
      ledger: all that was done.
      skipped: updates that were skipped in a row.
    """

    def __init__(
        self,
        weights: Iterable[tuple[str, Tensor]],
        lr: float,
        perturbation: Perturbation | None = None,
        *,
        weight_decay: float = 0.0,
        seed: int = 0,
        guide: Guide | None = None,
        updates: int = 1000,
    ) -> None:
        self.perturbation = perturbation or Perturbation()
        named = {name: weight for name, weight in weights if weight.requires_grad}
        _check(named, self.perturbation)
        self._weights = list(named.values())
        super().__init__(self._weights, {"lr": lr, "weight_decay": weight_decay})
        self._copies: list[Tensor] | None = None
        if self.perturbation.restore == EXACT:
            self._copies = [w.detach().to(wide(w.dtype), copy=True) for w in self._weights]
        self._directions = Directions(named, self.perturbation, seed, guide)
        self._guided, self.updates = guide is not None, updates
        self._number = self.skipped = 0
        self._drawn: dict[int, Direction] = {}
        self._collected: list[Sequence[float]] = []
        about = {
            "schema": _SCHEMA,
            "seed": seed,
            "weight_decay": weight_decay,
            "perturbation": dataclasses.asdict(self.perturbation),
            "guide": guide.lengths() if guide else None,
            "weights": _digest(named),
            "device": self._weights[0].device.type,
            "torch": torch.__version__.partition("+")[0],
        }
        self.ledger = Ledger(about)

    @torch.no_grad()
    def estimate(self, loss: Callable[[], Tensor | float]) -> Estimate:
        """Return what the loss tells at two points a direction; the weights are as before.

        Args:
          loss: of the weights as they are when it is called.
        """
        self._take()
        values, scalars = [], []
        for sample in range(self.perturbation.samples):
            direction = self._direction(sample, self._alpha())
            step = self.perturbation.epsilon / max(direction.length, _TINY)
            with self._away(direction) as go:
                for distance in (step, -step):
                    go(distance)
                    with torch.inference_mode():
                        values.append(float(loss()))
            scalars.append((values[-2] - values[-1]) / (2 * step))
        equal = sum(s == 0 for s in scalars) / len(scalars)
        return Estimate(sum(values) / len(values), tuple(scalars), equal)

    def collect(self, scalars: Sequence[float]) -> None:
        """Take the slopes of a batch into the mean that the next step goes by."""
        self._collected.append(scalars)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Move the weights by what was collected; return the loss if there is a closure for it.

        Raises:
          FloatingPointError: `PATIENCE` updates in a row had no finite slope.
        """
        value = None
        if closure is not None:
            found = self.estimate(closure)
            self.collect(found.scalars)
            value = found.value
        if self._collected:
            with np.errstate(over="ignore", invalid="ignore"):
                mean = np.mean(np.asarray(self._collected, np.float64), axis=0).astype(np.float32)
            rate = float(np.float32(self.param_groups[0]["lr"]))
            self._update(Entry(self._number, rate, self._alpha(), tuple(mean.tolist())))
        return value

    @torch.no_grad()
    def redo(self, entry: Entry) -> None:
        """Make an update of a ledger once more; those before it must have been made."""
        self._number = entry.number
        self._update(entry)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint has to hold, the ledger and more precise weights among it."""
        packed = torch.frombuffer(bytearray(self.ledger.pack()), dtype=torch.uint8)
        own = {"number": self._number, "skipped": self.skipped, "ledger": packed}
        return {**super().state_dict(), **own, "copies": self._finer()}

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint, whose weights the model has already.

        Raises:
          RequestError: it is of another training.
        """
        ledger = Ledger.unpack(state_dict["ledger"].cpu().numpy().tobytes(), "the checkpoint")
        if odd := self.ledger.odd(ledger):
            raise RequestError(
                f"the checkpoint is of another training ({odd}): go on with its settings, or "
                "begin anew"
            )
        super().load_state_dict(state_dict)
        self.ledger.entries = ledger.entries
        self._number, self.skipped = state_dict["number"], state_dict["skipped"]
        for index, copy in self._finer().items():
            copy.copy_(state_dict["copies"][index])

    def _alpha(self) -> float:
        if not self._guided:
            return 0.0
        how = self.perturbation
        return float(np.float32(DECAYS[how.decay](how.alpha, self._number, max(self.updates, 1))))

    def _direction(self, sample: int, alpha: float) -> Direction:
        """Return z of this update, measured once however many batches it is used for."""
        if sample not in self._drawn:
            self._drawn[sample] = self._directions.draw(self._number, sample, alpha)
        return self._drawn[sample]

    @contextmanager
    def _away(self, direction: Direction) -> Iterator[Callable[[float], None]]:
        """Yield what moves the weights to so many lengths of a direction; end where they were."""
        gone = 0.0

        def go(distance: float) -> None:
            nonlocal gone
            if self._copies is None:
                for z, weight in self._directions.along(direction, self._weights):
                    weight.add_(z, alpha=distance - gone)
                gone = distance
                return
            there = self._directions.along(direction, self._weights, self._copies)
            for z, weight, copy in there:
                weight.copy_(torch.add(copy, z, alpha=distance, out=z))

        try:
            yield go
        finally:
            if self._copies is None:
                go(0.0)
            self._give()

    def _take(self) -> None:
        """Let the copies be the weights, where somebody else has moved them."""
        for weight, copy in zip(self._weights, self._copies or (), strict=False):
            if not torch.equal(copy.to(weight.dtype), weight):
                copy.copy_(weight)

    def _give(self) -> None:
        """Let the weights be their copies."""
        for weight, copy in zip(self._weights, self._copies or (), strict=False):
            weight.copy_(copy)

    def _finer(self) -> dict[int, Tensor]:
        """Return the copies that are more precise than their weights, by number."""
        pairs = enumerate(zip(self._weights, self._copies or (), strict=False))
        return {index: copy for index, (weight, copy) in pairs if copy.dtype != weight.dtype}

    def _update(self, entry: Entry) -> None:
        if all(math.isfinite(entry.rate * s) for s in entry.scalars):
            self._move(entry)
            self.ledger.entries.append(entry)
            self.skipped = 0
        else:
            self.skipped += 1
        self._number += 1
        self._drawn.clear()
        self._collected.clear()
        if self.skipped >= PATIENCE:
            raise FloatingPointError(
                f"the loss was no number in {PATIENCE} updates in a row: the training has "
                "diverged; lower the learning rate or epsilon"
            )

    def _move(self, entry: Entry) -> None:
        self._take()
        moved = self._weights if self._copies is None else self._copies
        decay = entry.rate * self.param_groups[0]["weight_decay"]
        for weight in moved:
            if decay and weight.dim() >= 2:
                weight.mul_(1 - decay)
        for sample, scalar in enumerate(entry.scalars):
            amount = -entry.rate * scalar / len(entry.scalars)
            direction = self._direction(sample, entry.alpha)
            for z, weight in self._directions.along(direction, moved):
                weight.add_(z, alpha=amount)
        self._give()


_TINY = 1e-30


def replay(model: nn.Module, ledger: Ledger | Path | str, guide: Guide | None = None) -> None:
    """Make all updates of a ledger on a model that has the weights of its beginning.

    No data and no forward pass are needed. The weights become those of the training to the last
    bit, but for what "in_place" rounded away there.

    Args:
      model: with the weights, the adapters and what requires a gradient as at the beginning.
      ledger: of the training, its file, or the folder of a checkpoint.
      guide: the one that it had, if it had one.

    Raises:
      RequestError: the ledger is of other weights, another kind of device, or had a guide and
        has none.
    """
    if not isinstance(ledger, Ledger):
        ledger = Ledger.load(ledger)
    about = ledger.about
    if about.get("schema") != _SCHEMA:
        raise RequestError(f"a ledger of schema {about.get('schema')!r} is not known here")
    descent = SeededDescent(
        model.named_parameters(),
        0.0,
        build(Perturbation, "the ledger's perturbation", about["perturbation"]),
        weight_decay=about["weight_decay"],
        seed=about["seed"],
        guide=guide,
    )
    if odd := descent.ledger.odd(ledger):
        raise RequestError(f"the ledger is of another model or training: {odd}")
    for entry in ledger.entries:
        descent.redo(entry)


def _check(weights: Mapping[str, Tensor], perturbation: Perturbation) -> None:
    if not weights:
        raise RequestError("nothing trains: no weight of the model requires a gradient")
    for name, weight in weights.items():
        if hasattr(weight, "device_mesh") or hasattr(weight, "ds_id"):
            raise RequestError(
                f"the weights are sharded ({name}), and noise is drawn for whole ones: train "
                "without FSDP, DeepSpeed or tensor parallelism"
            )
        if perturbation.restore != EXACT and wide(weight.dtype) != weight.dtype:
            raise RequestError(
                f"restore='in_place' does not bring back weights in {weight.dtype} ({name}): "
                "use restore='exact', or load them in float32"
            )


def _digest(weights: Mapping[str, Tensor]) -> str:
    """Return a word for the names, shapes and dtypes of weights."""
    lines = [f"{plain(name)} {[*w.shape]} {w.dtype}" for name, w in weights.items()]
    return treefile.digest(lines)[:16]
