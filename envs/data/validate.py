"""What must hold of a dataset's arrays; every complaint names the field, and the row if one is."""

from collections.abc import Mapping

import numpy as np

from mpo.errors import RequestError

Arrays = Mapping[str, np.ndarray]
_NEEDED = ("inputs", "outputs", "length")
_PER_RESPONSE = ("length", "reward", "ref_logp", "agent")
_BLOCK = 256  # rows looked at together: a mapped dataset is never read into memory whole


def check_shapes(arrays: Arrays) -> None:
    """Complain of shapes and dtypes that do not go together. Reads no numbers."""
    for name in _NEEDED:
        if name not in arrays:
            raise RequestError(f"{name} is missing: a dataset needs {', '.join(_NEEDED)}")
    outputs, inputs = arrays["outputs"], arrays["inputs"]
    if outputs.ndim not in (3, 4):
        raise RequestError(
            f"outputs has shape {list(outputs.shape)}: it must be [N, K, T, A] for actions, or "
            "[N, K, T] for tokens"
        )
    rows, responses, steps = outputs.shape[:3]
    if rows < 1 or responses < 2 or steps < 1:
        raise RequestError(
            f"outputs has shape {list(outputs.shape)}: a dataset has at least 1 row of at least "
            "2 responses of at least 1 step"
        )
    for name, values in arrays.items():
        if values.shape[:1] != (rows,):
            raise RequestError(
                f"{name} has shape {list(values.shape)}, and outputs has {rows} rows: "
                "every field has one entry a row"
            )
    for name in _PER_RESPONSE:
        if name in arrays and arrays[name].shape != (rows, responses):
            raise RequestError(
                f"{name} has shape {list(arrays[name].shape)}: it must be {[rows, responses]}, a "
                "number for each response"
            )
    _check_dtypes(arrays)
    if inputs.dtype.kind == "f" and (inputs.ndim != 4 or inputs.shape[:3] != outputs.shape[:3]):
        raise RequestError(
            f"inputs has shape {list(inputs.shape)}: observations must be [N, K, T, O] with "
            f"[N, K, T] = {[rows, responses, steps]}, as in outputs (contexts are integers)"
        )
    if inputs.dtype.kind != "f" and (inputs.ndim not in (2, 3) or inputs.shape[1] != responses):
        raise RequestError(
            f"inputs has shape {list(inputs.shape)}: contexts must be [N, K] or [N, K, P] with "
            f"[N, K] = {[rows, responses]}"
        )


def _check_dtypes(arrays: Arrays) -> None:
    allowed = {"length": "iu", "agent": "iu", "reward": "f", "ref_logp": "f"}
    words = {"iu": "integers", "f": "floats", "fiu": "floats or integers"}
    for name, values in arrays.items():
        kinds = allowed.get(name, "fiu")
        if values.dtype.kind not in kinds:
            raise RequestError(f"{name} has dtype {values.dtype}: it must be {words[kinds]}")
    if arrays["outputs"].dtype.kind == "f" and arrays["outputs"].ndim == 3:
        raise RequestError(
            "outputs are floats of shape [N, K, T]: actions must be [N, K, T, A] (A may be 1), "
            "and tokens must be integers"
        )


def check(arrays: Arrays, vocabulary: int | None, agents: int) -> None:
    """Complain of numbers that cannot be; reads everything once, some rows at a time."""
    check_shapes(arrays)
    steps = arrays["outputs"].shape[2]
    wrong = (arrays["length"] < 1) | (arrays["length"] > steps)
    _complain(wrong, "length", arrays["length"], f"a length must be in [1, {steps}]")
    for name, values in arrays.items():
        if values.dtype.kind == "f":
            for first in range(0, len(values), _BLOCK):
                block = values[first : first + _BLOCK]
                _complain(~np.isfinite(block), name, block, "it must be finite", first)
    if "agent" in arrays:
        wrong = (arrays["agent"] < 0) | (arrays["agent"] >= agents)
        _complain(wrong, "agent", arrays["agent"], f"the names of {agents} agents are given")
    for name in ("inputs", "outputs"):
        values = arrays[name]
        if values.dtype.kind in "iu":
            limit = np.inf if vocabulary is None else vocabulary
            words = "at least 0" if vocabulary is None else f"in [0, {vocabulary}), the vocabulary"
            _complain((values < 0) | (values >= limit), name, values, f"a token must be {words}")


def narrowed(name: str, values: np.ndarray) -> np.ndarray:
    """Return the values in the dtype that datasets are stored in; they must fit it."""
    if values.dtype.kind == "f":
        with np.errstate(over="ignore"):
            narrow = values.astype(np.float32)
        wrong = np.isfinite(values) & ~np.isfinite(narrow)
        _complain(wrong, name, values, "it must fit a float of 32 bits")
        return narrow
    limits = np.iinfo(np.int32)
    wrong = (values < limits.min) | (values > limits.max)
    _complain(wrong, name, values, "it must fit an integer of 32 bits")
    return values.astype(np.int32)


def lengths(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the length of each response from a mask [N, K, T]; it must have no holes."""
    if mask.shape != shape or mask.dtype != bool:
        raise RequestError(
            f"mask is {mask.dtype}{list(mask.shape)}: it must be booleans [N, K, T] = "
            f"{list(shape)}, as in outputs"
        )
    wrong = mask[..., 1:] & ~mask[..., :-1]
    _complain(wrong, "mask", wrong, "true after false: a mask has no holes, it ends once")
    return np.asarray(np.sum(mask, axis=-1, dtype=np.int32))


def best_first(rank: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the order that sorts each row by `rank` [N, K], where 0 is the best."""
    if rank.shape != shape or rank.dtype.kind not in "iu":
        raise RequestError(
            f"rank is {rank.dtype}{list(rank.shape)}: it must be integers {list(shape)}, the place "
            "of each response"
        )
    order = np.argsort(rank, axis=1, kind="stable")
    wrong = np.take_along_axis(rank, order, 1) != np.arange(shape[1])
    if wrong.any():
        row = int(np.argwhere(wrong)[0, 0])
        raise RequestError(
            f"row {row}: rank is {rank[row].tolist()}; it must hold each place from 0 (the best) "
            f"to {shape[1] - 1} once"
        )
    return order


def reordered(values: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return [N, K, …] with the responses of each row in another order, [N, K]."""
    return np.take_along_axis(values, order.reshape(*order.shape, *[1] * (values.ndim - 2)), 1)


def _complain(wrong: np.ndarray, name: str, values: np.ndarray, must: str, first: int = 0) -> None:
    if not wrong.any():
        return
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    where = "".join(
        f", {axis} {i}" for axis, i in zip(("response", "step", "entry"), place[1:], strict=False)
    )
    value = "" if values.dtype == bool else f" is {values[place]}:"
    raise RequestError(f"row {first + place[0]}{where}: {name}{value} {must}")
