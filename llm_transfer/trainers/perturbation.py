"""Directions to move weights along, drawn from seeds and never stored.

A direction is z = b·n + a·Δπ + c·ΔR: noise n over all weights that train and, with a guide, what
the last round did. The noise is drawn again whenever z is needed, the same each time and piece by
piece, so a direction takes the memory of one piece.
"""

import functools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64
from torch import Generator, Tensor

from mpo.errors import RequestError
from mpo.settings import Checked, count, number, one_of

PIECE: Final = 2**20
"""Numbers of a direction that are there at a time; noise depends on it, and so do ledgers."""

GAUSSIAN, SPHERE = "gaussian", "sphere"

NOISES: Mapping[str, Callable[[Tensor, Generator], Tensor]] = MappingProxyType(
    {
        GAUSSIAN: lambda empty, generator: empty.normal_(generator=generator),
        "rademacher": lambda empty, generator: (
            empty.bernoulli_(0.5, generator=generator).mul_(2).sub_(1)
        ),
        SPHERE: lambda empty, generator: empty.normal_(generator=generator),  # scaled as a whole
    }
)
"""How noise is drawn, in place; each has mean square 1 an entry."""

WHOLE, LEAF = SCOPES = ("whole", "leaf")
"""What has a norm and a projection of its own: all weights together, or each tensor of them."""

PREVIOUS, UNIT, _ = MAGNITUDES = ("previous", "unit", GAUSSIAN)
"""How long a guided direction is: as the way of the last round, 1, or as noise is."""

DECAYS: Mapping[str, Callable[[float, int, int], float]] = MappingProxyType(
    {
        "linear": lambda first, k, length: min(max(first - k / length, 0.0), 1.0),
        "exponential": lambda first, k, length: first * math.exp(-k),
        "constant": lambda first, k, length: first,
    }
)
"""How the weight of the guide falls within a round, at update k of its `length`."""

EXACT, IN_PLACE = RESTORES = ("exact", "in_place")
"""How weights come back: from a copy, or by taking off what was added, up to rounding."""


@dataclass(frozen=True, kw_only=True)
class Perturbation(Checked):
    """How a slope is found from the loss at two points on either side of the weights.

    The names are those of the slopes `spsa` and `guided` of `mpo.train`. From `alpha` on they
    matter where there is a `Guide`.

    Attributes:
      epsilon: how far both points are from the weights, ‖εz‖. The ε of other programs is of one
        entry: it is this over √d, for d weights.
      samples: directions in an update, each of which takes two forward passes.
      noise: how they are drawn: a name of `NOISES`.
      restore: how weights come back: a name of `RESTORES`. "exact" keeps a copy of what trains,
        in float32 at least; "in_place" keeps none, and needs weights in float32.
      alpha: α, the weight of the guide at the beginning of a round, in [0, 1].
      decay: how it falls: a name of `DECAYS`.
      scope: what has a norm of its own: a name of `SCOPES`.
      magnitude: how long a guided z is: a name of `MAGNITUDES`. "previous" scales an update by
        ‖Δπ‖², so that rounds die out or explode.
    """

    epsilon: float = number(1.0, above=0.0)
    samples: int = count(1)
    noise: str = one_of(GAUSSIAN, NOISES)
    restore: str = one_of(EXACT, RESTORES)
    alpha: float = number(1.0, at_least=0.0, at_most=1.0)
    decay: str = one_of("linear", DECAYS)
    scope: str = one_of(WHOLE, SCOPES)
    magnitude: str = one_of(GAUSSIAN, MAGNITUDES)

    what = "the perturbation"


Weights = Mapping[str, Tensor] | str | Path


@dataclass(frozen=True)
class Guide:
    """What the last round did, which the next one begins with.

    Attributes:
      along: Δπ, how the weights moved, by name (`change`).
      away: ΔR, how those of the reward model moved, whose part is taken out of the noise; names
        that the policy does not have, as a head's, are left out.
    """

    along: Mapping[str, Tensor]
    away: Mapping[str, Tensor] | None = None

    def lengths(self) -> list[float]:
        """Return ‖Δπ‖ and ‖ΔR‖ to four digits, by which one guide is told from another."""
        norm = functools.partial(torch.linalg.vector_norm, dtype=torch.float64)
        found = []
        for one in (self.along, self.away or {}):
            lengths = [float(norm(value.detach())) for value in one.values()]
            found.append(float(f"{math.hypot(*lengths):.4g}"))
        return found


def change(after: Weights, before: Weights) -> dict[str, Tensor]:
    """Return the difference of two states of weights, by the names that both have.

    Args:
      after, before: state dicts, or folders of a saved adapter or model. A state dict shows the
        weights as they are now: keep a copy of what is to be the earlier one.
    """
    one, other = _read(after), _read(before)
    names = [n for n in one if n in other and one[n].is_floating_point()]
    return {n: one[n].detach().float() - other[n].detach().float() for n in names}


def plain(name: str) -> str:
    """Return the name of a weight without what wrappers, and names of adapters, add to it."""
    name = re.sub(r"\.(lora_\w+)\.(?!(weight|bias)$)[^.]+", r".\1", name)
    name = re.sub(r"\.modules_to_save\.[^.]+", "", name)
    return re.sub(r"^((_orig_mod|module)\.)*(base_model\.model\.)?", "", name)


def wide(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype that sums of weights are kept in: float32, or more if they have more."""
    return torch.promote_types(dtype, torch.float32)


class Direction(NamedTuple):
    """A direction z, as all that it takes to draw it.

    Attributes:
      seeds: of the noise of each weight.
      mix: at each weight the factors of n and, with a guide, of Δπ and of ΔR.
      length: ‖z‖.
    """

    seeds: Sequence[int]
    mix: Sequence[Float64[np.ndarray, " vectors"]]
    length: float


class Directions:
    """Draws directions over weights.

    Args:
      weights: what trains, by name.
      perturbation: how they are drawn.
      seed: of all of them.
      guide: Δπ and ΔR, whose tensors are kept as they are if they fit the weights.

    Raises:
      RequestError: the guide does not fit the weights, or leads nowhere.
    """

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        perturbation: Perturbation,
        seed: int,
        guide: Guide | None = None,
    ) -> None:
        self._weights, self._how, self._seed = list(weights.values()), perturbation, seed
        given = () if guide is None else (guide.along, guide.away or {})
        fitted = [_fitted(one, weights) for one in given]
        self._guides = list(zip(*fitted, strict=True)) if fitted else [()] * len(weights)
        if fitted and not any(bool(way.any()) for way in fitted[0]):
            raise RequestError("the guide leads nowhere: its Δπ is zero in all weights that train")

    def draw(self, number: int, sample: int, alpha: float) -> Direction:
        """Return the direction of a sample of an update, given α."""
        state = np.random.SeedSequence((self._seed, number, sample))
        seeds = state.generate_state(len(self._weights)).tolist()
        grams = np.stack([self._gram(index, seed) for index, seed in enumerate(seeds)])
        sizes = np.array([weight.numel() for weight in self._weights], float)
        scale = np.ones(grams.shape[-1])
        if self._how.noise == SPHERE:
            scale[0] = math.sqrt(sizes.sum() / grams[:, 0, 0].sum())
        grams = grams * np.outer(scale, scale)
        if self._how.scope == LEAF:
            each = zip(grams, sizes, strict=True)
            mix = [_mixed(gram, size, alpha, self._how) for gram, size in each]
        else:
            mix = [_mixed(grams.sum(0), sizes.sum(), alpha, self._how)] * len(seeds)
        square = sum(factors @ gram @ factors for factors, gram in zip(mix, grams, strict=True))
        return Direction(seeds, [factors * scale for factors in mix], math.sqrt(max(square, 0.0)))

    def along(self, direction: Direction, *others: Sequence[Tensor]) -> Iterator[Sequence[Tensor]]:
        """Yield z piece by piece, each with the same piece of other tensors.

        Pieces of z are as precise as float32 at least, and the receiver's to change; the others
        are views.

        Args:
          direction: z.
          others: each has a tensor for each weight, of its shape.
        """
        for index, (seed, factors) in enumerate(zip(direction.seeds, direction.mix, strict=True)):
            guides = self._guides[index]
            tensors = (*guides, *(other[index] for other in others))
            pieces = zip(self._noise(index, seed), *map(_split, tensors), strict=True)
            for z, *given in pieces:
                z.mul_(factors[0])
                for factor, guide in zip(factors[1:], given, strict=False):
                    z.add_(guide, alpha=factor)
                yield (z, *given[len(guides) :])

    def _noise(self, index: int, seed: int) -> Iterator[Tensor]:
        weight, draw = self._weights[index], NOISES[self._how.noise]
        generator = Generator(weight.device).manual_seed(seed)
        for piece in _split(weight):
            empty = torch.empty(piece.shape, dtype=wide(weight.dtype), device=weight.device)
            yield draw(empty, generator)

    def _gram(self, index: int, seed: int) -> Float64[np.ndarray, "vectors vectors"]:
        """Return the inner products of n, Δπ and ΔR at a weight."""
        weight, guides = self._weights[index], self._guides[index]
        size = 1 + len(guides)
        total = torch.zeros(size, size, dtype=torch.float64, device=weight.device)
        for pieces in zip(self._noise(index, seed), *map(_split, guides), strict=True):
            rows = torch.stack([piece.flatten() for piece in pieces])
            total += rows @ rows.T
        return total.cpu().numpy()


def _mixed(
    gram: Float64[np.ndarray, "vectors vectors"], size: float, alpha: float, how: Perturbation
) -> Float64[np.ndarray, " vectors"]:
    """Return the factors of n, Δπ and ΔR, given their inner products over `size` entries.

    z = α Δπ + √(1 − α²) u, where u is n without its part along ΔR, and both are as long as
    `magnitude` says; u alone where Δπ is zero; n where there is no guide.
    """
    if len(gram) == 1:
        return np.ones(1)
    share = gram[0, 2] / gram[2, 2] if gram[2, 2] > 0 else 0.0
    toward, beside = np.array([0.0, 1.0, 0.0]), np.array([1.0, 0.0, -share])
    way, usual = math.sqrt(gram[1, 1]), math.sqrt(size)
    own = math.sqrt(max(beside @ gram @ beside, _TINY))
    if way == 0:
        return beside * {PREVIOUS: usual / own, UNIT: 1 / own, GAUSSIAN: 1.0}[how.magnitude]
    goal = {PREVIOUS: way, UNIT: 1.0, GAUSSIAN: usual}[how.magnitude]
    stretch = 1.0 if how.magnitude == GAUSSIAN else goal / own
    return alpha * goal / way * toward + math.sqrt(1 - alpha**2) * stretch * beside


_TINY = 1e-30


def _split(weight: Tensor) -> Sequence[Tensor]:
    """Return views of a tensor, of about `PIECE` numbers each."""
    if not weight.numel():
        return ()
    whole = weight if weight.dim() else weight[None]
    return whole.split(max(1, PIECE * len(whole) // weight.numel()))


def _fitted(given: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> list[Tensor]:
    """Return what is given for each weight, on its device; zero, which takes no memory, if not.

    Raises:
      RequestError: none of the names is a weight's, or a shape differs.
    """
    there = {plain(name): value for name, value in given.items()}
    if given and not any(plain(name) in there for name in weights):
        raise RequestError("the guide has none of the weights that train")
    found = []
    for name, weight in weights.items():
        zero = torch.zeros((), device=weight.device, dtype=wide(weight.dtype))
        value = there.get(plain(name), zero.expand(weight.shape))
        if value.shape != weight.shape:
            raise RequestError(
                f"the guide has shape {list(value.shape)} at {name}, where the weights have "
                f"{list(weight.shape)}"
            )
        found.append(value.detach().to(zero))
    return found


def _read(weights: Weights) -> dict[str, Tensor]:
    if not isinstance(weights, str | Path):
        return {plain(name): value for name, value in weights.items()}
    from safetensors.torch import load_file

    for name in ("adapter_model.safetensors", "model.safetensors"):
        if (path := Path(weights) / name).is_file():
            return {plain(name): value for name, value in load_file(path).items()}
    raise RequestError(
        f"{weights} holds neither adapter_model.safetensors nor model.safetensors: name a folder "
        "that save_pretrained wrote"
    )
