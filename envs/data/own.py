"""Data from elsewhere: your trajectories or token sequences, and your rankings, as a dataset."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from envs.data.dataset import About, Dataset, assembled
from envs.data.origin import Origin
from envs.data.validate import best_first, check, check_shapes, lengths, narrowed, reordered
from mpo.errors import RequestError


def from_arrays(
    inputs: Any,
    outputs: Any,
    *,
    length: Any = None,
    mask: Any = None,
    rank: Any = None,
    reward: Any = None,
    ref_logp: Any = None,
    agent: Any = None,
    agents: Sequence[str] = (),
    vocabulary: int | None = None,
    task: str | None = None,
    origin: Origin | None = None,
) -> Dataset:
    """Return a dataset of your own comparisons, N rows of K responses, after checking every number.

    Args:
      inputs: observations [N, K, T, O], floats; or contexts [N, K] or [N, K, P], integers.
      outputs: actions [N, K, T, A] (or [N, K, T], if they are integers), or tokens [N, K, T].
      length: steps or tokens of each response, [N, K]; by default all T.
      mask: in place of `length`, booleans [N, K, T], true up to where a response ends.
      rank: the place of each response in its row, [N, K], 0 for the best; by default the
        responses are taken as best first already.
      reward: true return of each response, [N, K], if it is known.
      ref_logp: summed log-probability under a reference policy, [N, K], if it is known.
      agent: who produced each response, [N, K], an index of `agents`.
      agents: names of who produced the responses.
      vocabulary: number of tokens there are.
      task: name of the task, if it is one of this package.
      origin: where they are from, if that is to be kept.

    Raises:
      RequestError: a shape, a dtype or a number is wrong; the message says which, and where.
    """
    if length is not None and mask is not None:
        raise RequestError("length and mask were both given: give one of them")
    fields = {"inputs": _plain("inputs", inputs), "outputs": _plain("outputs", outputs)}
    responses, steps = fields["outputs"].shape[:2], fields["outputs"].shape[2:3]
    every = np.full(responses, steps or 0)
    fields["length"] = every if length is None else _plain("length", length)
    optional = {"reward": reward, "ref_logp": ref_logp, "agent": agent}
    fields |= {name: _plain(name, v) for name, v in optional.items() if v is not None}
    check_shapes(fields)
    if mask is not None:
        fields["length"] = lengths(_plain("mask", mask), (*responses, *steps))
    fields = {name: narrowed(name, values) for name, values in fields.items()}
    check(fields, vocabulary, len(agents))
    if rank is not None:
        order = best_first(_plain("rank", rank), responses)
        fields = {name: reordered(values, order) for name, values in fields.items()}
    about = About(task=task, agents=tuple(agents), vocabulary=vocabulary, origin=origin)
    return assembled(fields, about)


def from_npz(path: str | Path, **known: Any) -> Dataset:
    """Return a dataset of the arrays in an npz file, whose names are arguments of `from_arrays`."""
    accepted = {"inputs", "outputs", "length", "mask", "rank", "reward", "ref_logp", "agent"}
    try:
        with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            fields = {name: file[name] for name in file.files}
    except FileNotFoundError as error:
        raise RequestError(f"{path}: no such file") from error
    except Exception as error:  # numpy raises whatever its parts raise
        raise RequestError(f"{path} is no npz file of arrays: {error}") from error
    if odd := sorted(fields.keys() - accepted):
        raise RequestError(
            f"{path} has arrays named {', '.join(odd)}: known are {', '.join(sorted(accepted))}"
        )
    if missing := sorted({"inputs", "outputs"} - fields.keys()):
        raise RequestError(f"{path} has no array named {' and no '.join(missing)}")
    try:
        return from_arrays(**fields, **known)
    except RequestError as error:
        raise RequestError(f"{path}: {error}") from error


def _plain(name: str, values: Any) -> np.ndarray:
    try:
        return np.asarray(values)
    except ValueError as error:
        raise RequestError(
            f"{name} is ragged: pad the responses to one length, and give their `length`"
        ) from error
