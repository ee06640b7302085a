"""A dataset in memory, what is known of it, and its view: minibatches on the device."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Int, Num

from envs.base import Start, Task
from envs.data import archive
from envs.data.archive import DatasetError
from envs.data.origin import Origin
from envs.data.recipe import Recipe
from envs.data.validate import check, check_shapes
from mpo import treefile
from mpo.pytree import pytree
from mpo.settings import Kept
from mpo.train import Responses


@pytree
@dataclass(frozen=True)
class View(Responses):
    """The arrays of a dataset, held once for any population, and how they are cut.

    A pytree: pass it to the training function as an argument that no `vmap` maps.

    Attributes:
      inputs, outputs, lengths, reward, ref_logp, steps: as in `mpo.train.Responses`.
      agent: who wrote each response, as in `Dataset`; may be `None`.
      start: leaves of the task's starts, each with N rows; empty if not known. What a
        comparison needs to be answered anew, and no batch has.
    """

    agent: Int[Kept, "N K"] | None = None
    start: tuple[Num[Kept, "N *start"], ...] = ()

    def starts(self, task: Task) -> Start:
        """Return the starts of all comparisons, in the structure that `task` uses.

        Raises:
          DatasetError: they are not known, or not of this task.
        """
        return _starts(task, self.start)


def view(dataset: "Dataset", steps: int | None = None) -> View:
    """Bring a dataset onto the device: whole responses, or segments of `steps` steps."""
    whole = View(
        inputs=_held(dataset.inputs),
        outputs=_held(dataset.outputs),
        lengths=_held(dataset.length.astype(np.int32)),
        reward=None if dataset.reward is None else _held(dataset.reward),
        ref_logp=None if dataset.ref_logp is None else _held(dataset.ref_logp),
        steps=dataset.steps,
        agent=None if dataset.agent is None else _held(dataset.agent),
        start=tuple(_held(leaf) for leaf in dataset.start),
    )
    return whole.cut(steps)


def _starts(task: Task, stored: tuple[Any, ...]) -> Start:
    leaves, structure = jax.tree.flatten(jax.eval_shape(task.start, jax.random.key(0)))
    if [leaf.shape for leaf in leaves] != [leaf.shape[1:] for leaf in stored]:
        raise DatasetError(f"the dataset does not know its starts in task {task.name!r}")
    return jax.tree.unflatten(structure, stored)


def _held(values: Any) -> Array:
    return jax.device_put(np.asarray(values))


OPTIONAL = ("reward", "ref_logp", "agent")


@dataclass(frozen=True)
class About:
    """What is known of a dataset beside its arrays.

    Attributes:
      task: name of the task, or `None` for data from elsewhere.
      agents: names that the numbers in `Dataset.agent` stand for.
      vocabulary: number of tokens there are, for token sequences.
      recipe: how it was made, if it was generated.
      origin: where it is from, if it was imported from another format.
      versions: packages that made it, and the kind of device.
    """

    task: str | None = None
    agents: tuple[str, ...] = ()
    vocabulary: int | None = None
    recipe: Recipe | None = None
    origin: Origin | None = None
    versions: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        recipe = self.recipe and self.recipe.as_json() | {"sha256": self.recipe.digest}
        plain = dataclasses.asdict(dataclasses.replace(self, recipe=None)) | {"recipe": recipe}
        if self.origin is None:
            del plain["origin"]  # as in files from before there was one
        return plain

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "About":
        """Return what `as_json` wrote."""
        recipe, origin = values["recipe"], values.get("origin")
        if recipe is not None:
            recipe = Recipe.from_json({k: v for k, v in recipe.items() if k != "sha256"})
        if origin is not None:
            origin = Origin.from_json(origin)
        plain = ("task", "vocabulary", "versions")
        return cls(
            **{name: values[name] for name in plain},
            agents=tuple(values["agents"]),
            recipe=recipe,
            origin=origin,
        )


@dataclass(frozen=True)
class Dataset:
    """N comparisons of K responses to one start each, **best first** as the judge ranked them.

    A trajectory has observations [T, O] and actions [T, A] or [T]. A token sequence
    has integers for inputs: its context, [N, K] or [N, K, P], and tokens [N, K, T].

    Attributes:
      inputs: what the policies saw, [N, K, T, O] floats; or contexts, integers.
      outputs: what they did, [N, K, T, A] or [N, K, T].
      length: steps or tokens that belong to each response, [N, K]; the rest is padding.
      reward: true return of each response, [N, K].
      ref_logp: its summed log-probability under a reference policy, [N, K].
      agent: who produced it, [N, K], as an index of `about.agents`.
      start: leaves of the task's starts, each with N rows; empty if not known.
      about: what is known beside the arrays.
    """

    inputs: np.ndarray
    outputs: np.ndarray
    length: np.ndarray
    reward: np.ndarray | None = None
    ref_logp: np.ndarray | None = None
    agent: np.ndarray | None = None
    start: tuple[np.ndarray, ...] = ()
    about: About = field(default_factory=About)

    def __post_init__(self) -> None:
        """Refuse arrays whose shapes do not go together."""
        check_shapes(self.arrays())

    def __len__(self) -> int:
        return int(self.outputs.shape[0])

    def __getitem__(self, rows: slice | np.ndarray) -> "Dataset":
        """Return some of the rows; those of a slice are not copied."""
        arrays = {name: values[rows] for name, values in self.arrays().items()}
        return assembled(arrays, self.about)

    @property
    def fingerprint(self) -> str:
        """A hash of all arrays: of two datasets by one recipe on different machines, too."""
        parts = (
            (f"{n}{a.dtype.str}{a.shape}", np.ascontiguousarray(a))
            for n, a in sorted(self.arrays().items())
        )
        return treefile.digest(part for pair in parts for part in pair)[:16]

    @property
    def responses(self) -> int:
        """K, the responses that each comparison ranks."""
        return int(self.outputs.shape[1])

    @property
    def steps(self) -> int:
        """T, the steps or tokens there is room for in a response."""
        return int(self.outputs.shape[2])

    @property
    def mask(self) -> np.ndarray:
        """Which steps belong to the responses, [N, K, T]."""
        return np.arange(self.steps) < np.asarray(self.length)[..., None]

    def arrays(self) -> dict[str, np.ndarray]:
        """Return every array there is by its name in the file; the rows are the first axis."""
        named = {name: getattr(self, name) for name in ("inputs", "outputs", "length", *OPTIONAL)}
        starts = {f"start.{i}": leaf for i, leaf in enumerate(self.start)}
        return {name: values for name, values in named.items() if values is not None} | starts

    def starts(self, task: Task) -> Start:
        """Return the starts of all rows, in the structure that `task` uses."""
        return _starts(task, tuple(jax.device_put(leaf) for leaf in self.start))

    def view(self, steps: int | None = None) -> "View":
        """Bring the dataset onto the device for training: whole responses, or `steps` at a time."""
        return view(self, steps)

    def save(self, path: str | Path) -> None:
        """Write the dataset; the file appears whole or not at all.

        Raises:
          RequestError: the numbers are not what the format promises, or the folder cannot
            be written to.
          OSError: the disk is full.
        """
        arrays = self.arrays()
        check(arrays, self.about.vocabulary, len(self.about.agents))
        layout = {n: jax.ShapeDtypeStruct(a.shape, a.dtype) for n, a in arrays.items()}
        with archive.writing(Path(path), layout, self.about.as_json()) as writer:
            writer.append(arrays)


def load(path: str | Path, *, task: str | None = None, verify: bool = True) -> Dataset:
    """Map a dataset into memory; nothing is copied, and nothing in the file is executed.

    Args:
      path: the file.
      task: what it must be a dataset of; one that names no task is taken for any.
      verify: whether to compare checksums, which reads the whole file once (about a
        second for 600 MB): on by default, as a training run takes far longer. Without,
        names, shapes, dtypes and sizes are compared still.

    Raises:
      DatasetError: there is no such file; it is truncated, corrupt or of another kind;
        or it is a dataset of another task.
    """
    path = Path(path)
    arrays, about = archive.read(path, verify)
    try:
        dataset = assembled(arrays, About.from_json(about))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"{path} does not hold a dataset: {error}") from error
    made_for = dataset.about.task
    if task is not None and made_for not in (None, task):
        raise DatasetError(
            f"{path} is a dataset of task {made_for!r}, not {task!r}: "
            f"use it with {made_for!r}, or make one of {task!r}"
        )
    return dataset


def assembled(arrays: Mapping[str, np.ndarray], about: About) -> Dataset:
    """Return the dataset whose `arrays()` these are."""
    starts = sorted((name for name in arrays if name.startswith("start.")), key=_number)
    plain: dict[str, Any] = {n: values for n, values in arrays.items() if n not in starts}
    return Dataset(**plain, start=tuple(arrays[name] for name in starts), about=about)


def _number(name: str) -> int:
    return int(name.removeprefix("start."))
