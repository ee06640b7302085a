"""Generation: agents respond from shared starts, the judge ranks, rows stream out in chunks."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from envs.base import Params, Task
from envs.data.judging import Ranker, check_finite, graded
from envs.data.recipe import EXPERT, REFERENCE, Cast, Recipe, kind
from envs.judge import rank
from mpo.errors import RequestError

CHUNK_BYTES = 2**28
"""A chunk's steps stay below this; a few chunks, in flight and in conversion, stay below 2 GiB."""

LARGE = 2**20
"""Bytes of parameters from which on they are not copied for each response: every author answers
every start, and the answer of the one that was cast is taken."""

IN_FLIGHT = 2
"""Chunks computed at once: a rollout, step after step, keeps little more than one core busy."""

Rows = Mapping[str, np.ndarray]

_SETTINGS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "jax_debug_nans": jax.debug_nans,
        "jax_default_device": jax.default_device,
        "jax_default_matmul_precision": jax.default_matmul_precision,
        "jax_default_prng_impl": jax.default_prng_impl,
        "jax_enable_x64": jax.enable_x64,
        "jax_numpy_dtype_promotion": jax.numpy_dtype_promotion,
        "jax_numpy_rank_promotion": jax.numpy_rank_promotion,
        "jax_threefry_partitionable": jax.threefry_partitionable,
    }
)
"""What a caller may have set by a `with`, which jax does for one thread, and how it is set."""


def cast(recipe: Recipe) -> Cast:
    """Return who produces each response before ranking, [rows, K] (see `envs.data.recipe`)."""
    key = jax.random.split(jax.random.key(recipe.seed))[0]
    who = kind(recipe.kind).cast(key, recipe.rows, recipe.responses)
    if recipe.share is None:
        return who
    having = np.flatnonzero((who == EXPERT).any(axis=1))
    kept = round(recipe.share * recipe.rows)
    if kept > having.size:
        raise RequestError(
            f"a share of {recipe.share:g} has the expert in {kept} of {recipe.rows} rows, and "
            f"kind {recipe.kind!r} has it in {having.size}"
        )
    order = jax.random.permutation(jax.random.fold_in(key, _SCARCE), having.size)
    return np.where(np.isin(np.arange(recipe.rows), having[order[kept:]])[:, None], REFERENCE, who)


def flips(recipe: Recipe) -> Bool[np.ndarray, "rows"]:
    """Return which rankings are reversed after they were made."""
    rate = recipe.judge.flip
    if recipe.exact:
        key = jax.random.fold_in(jax.random.key(recipe.seed), _FLIPPED)
        order = np.asarray(jax.random.permutation(key, recipe.rows))
        return np.isin(np.arange(recipe.rows), order[: round(rate * recipe.rows)])
    root = jax.random.split(jax.random.key(recipe.seed))[1]

    def flipped(row: Int[Array, ""]) -> Bool[Array, ""]:
        ranking = _keys(jax.random.fold_in(root, row), recipe.responses)[1]
        return jax.random.bernoulli(jax.random.split(ranking)[1], rate)

    return np.asarray(jax.vmap(flipped)(jnp.arange(recipe.rows)))


_SCARCE, _FLIPPED = 1, 2
"""What keys of choices that recipes had none of at first are folded with."""


def _keys(key: PRNGKeyArray, responses: int) -> Array:
    """Return the keys of a row: of its start, of its ranking, and of each response."""
    return jax.random.split(key, 2 + responses)


def layout(task: Task, recipe: Recipe, params: Params) -> dict[str, jax.ShapeDtypeStruct]:
    """Return shape and dtype of every array of the dataset, without running anything."""

    def all_rows(params: Params) -> dict[str, Array]:
        who = jnp.zeros((recipe.rows, recipe.responses), jnp.int32)
        keys = jax.random.split(jax.random.key(0), recipe.rows)
        return _respond(task, _stacked((params, params)), who, keys)

    agent = jax.ShapeDtypeStruct((recipe.rows, recipe.responses), jnp.int8)
    return jax.eval_shape(all_rows, params) | {"agent": agent}


def chunk_size(fields: Mapping[str, jax.ShapeDtypeStruct]) -> int:
    """Return how many rows to make at a time: what keeps the device busy and fits the memory."""
    rows = fields["length"].shape[0]
    row_bytes = sum(field.size // rows * field.dtype.itemsize for field in fields.values())
    wanted = 256 if jax.default_backend() == "cpu" else 4096
    return max(1, min(rows, wanted, CHUNK_BYTES // row_bytes))


def chunks(
    task: Task,
    recipe: Recipe,
    agents: Sequence[Params],
    size: int | None = None,
    grade: Callable[..., Any] | None = None,
) -> Iterator[Rows]:
    """Yield the dataset's arrays, `size` rows at a time, each row best first.

    Every row has a key of its own, so rows do not depend on `size`. All chunks
    have one shape and compile once: the last is filled up with repeats, which
    are cut off. While one chunk is written, the next are being computed.

    Args:
      task: where the agents respond.
      recipe: what to make.
      agents: parameters of the expert and of the reference, in this order.
      size: rows at a time; by default what `chunk_size` says.
      grade: the function that the recipe's judge goes by, if it is not the truth.

    Raises:
      FloatingPointError: a response has a return that is no number.
      RequestError: the function fails, or says what is no number.
    """
    # One row alone is compiled into other arithmetic, so it is made with a second, cut off.
    size = max(2, size or chunk_size(layout(task, recipe, agents[0])))
    root = jax.random.split(jax.random.key(recipe.seed))[1]
    who = cast(recipe).astype(np.int32)
    stacked = _stacked(agents)
    exact = flips(recipe) if recipe.exact else None
    ranker = Ranker(recipe.judge, recipe.grading, grade)

    def made(first: int) -> Rows:
        rows = np.minimum(np.arange(first, first + size), recipe.rows - 1)
        authors = jnp.asarray(who[rows])
        turned = None if exact is None else jnp.asarray(exact[rows])
        chunk = _make(task, ranker, stacked, authors, root, jnp.asarray(rows), turned)
        return _landed(first, chunk, recipe.rows)

    first, *others = range(0, recipe.rows, size)
    yield made(first)  # alone, for it is what compiles
    made_there = _with_these_settings(made)
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        pending: deque[Future[Rows]] = deque()
        for first in others:
            pending.append(pool.submit(made_there, first))
            if len(pending) > IN_FLIGHT:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _with_these_settings(made: Callable[[int], Rows]) -> Callable[[int], Rows]:
    """Return the function as it is in this thread, to be called in another."""
    here = {name: getattr(jax.config, name) for name in _SETTINGS}

    def there(first: int) -> Rows:
        with ExitStack() as stack:
            for name, value in here.items():
                stack.enter_context(_SETTINGS[name](value))
            return made(first)

    return there


def _make(
    task: Task,
    ranker: Ranker,
    agents: PyTree[Array],
    who: Int[Array, "C K"],
    root: PRNGKeyArray,
    rows: Int[Array, " C"],
    turned: Bool[Array, " C"] | None,
) -> dict[str, Array]:
    """Make rows; `turned` says which rankings are reversed where that is not left to chance."""
    keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(root, rows)
    responses = _responses(task, agents, who, keys)
    judge, returns = ranker.judge, responses["reward"]
    if ranker.grade is not None and ranker.grading is not None:
        seen = (responses[name] for name in ("inputs", "outputs", "length"))
        returns = graded(ranker.grade, *seen)
        check_finite(returns, ranker.grading)
    flip = judge.flip if turned is None else 0.0
    turned = jnp.zeros(rows.shape, bool) if turned is None else turned
    return _ranked(judge.temperature, flip, responses, returns, who, keys, turned)


def _respond(
    task: Task, agents: PyTree[Array], who: Int[Array, "C K"], keys: Array
) -> dict[str, Array]:
    leaves = jax.tree.leaves(agents)
    large = sum(leaf.size * leaf.dtype.itemsize for leaf in leaves) > LARGE * leaves[0].shape[0]

    def row(who: Int[Array, " K"], key: PRNGKeyArray) -> dict[str, Array]:
        start_key, _, *respond_keys = _keys(key, who.size)
        start = task.start(start_key)

        def respond(author: Int[Array, ""], key: PRNGKeyArray) -> Any:
            def of(agent: Any) -> Any:
                return task.respond(jax.tree.map(lambda leaf: leaf[agent], agents), start, key)

            if not large:
                return of(author)
            every = [of(agent) for agent in range(leaves[0].shape[0])]
            return jax.tree.map(lambda *found: jnp.stack(found)[author], *every)

        response = jax.vmap(respond)(who, jnp.stack(respond_keys))
        starts = {f"start.{i}": leaf for i, leaf in enumerate(jax.tree.leaves(start))}
        return starts | {
            "inputs": response.inputs,
            "outputs": response.outputs,
            "length": jnp.sum(response.mask, axis=-1, dtype=jnp.int32),
            "reward": response.total,
        }

    return jax.vmap(row)(who, keys)


_responses = jax.jit(_respond, static_argnums=0)


@jax.jit
def _ranked(
    temperature: float | Array | None,
    flip: float | Array,
    fields: dict[str, Array],
    returns: Float[Array, "C K"],
    who: Int[Array, "C K"],
    keys: Array,
    turned: Bool[Array, " C"],
) -> dict[str, Array]:
    def ranked(
        key: PRNGKeyArray, returns: Float[Array, " K"], turned: Bool[Array, ""]
    ) -> Int[Array, " K"]:
        order = rank(_keys(key, returns.size)[1], returns, temperature, flip)
        return jnp.where(turned, order[::-1], order)

    order = jax.vmap(ranked)(keys, returns, turned)

    def best_first(values: Array) -> Array:
        return jax.vmap(lambda row, order: row[order])(values, order)

    moved = {name: best_first(values) for name, values in fields.items() if "." not in name}
    starts = {name: values for name, values in fields.items() if "." in name}
    return starts | moved | {"agent": best_first(who.astype(jnp.int8))}


def _landed(first: int, made: dict[str, Array], rows: int) -> Rows:
    landed = {name: np.asarray(values)[: rows - first] for name, values in made.items()}
    wrong = ~np.isfinite(landed["reward"])
    if wrong.any():
        row, place = np.argwhere(wrong)[0]
        raise FloatingPointError(
            f"row {first + row}: the response of agent {landed['agent'][row, place]} has the "
            f"return {landed['reward'][row, place]}; the task or the agent is unstable"
        )
    return landed


def _stacked(agents: Sequence[Params]) -> PyTree[Array]:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *agents)
