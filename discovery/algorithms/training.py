"""One agent, trained by one algorithm: measured, saved, and resumed where it was cut off."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

import envs
from discovery.config import Config
from discovery.evidence import stage
from discovery.evidence.contest import measures
from discovery.evidence.returns import BY_MEAN
from discovery.host.processes import all_devices
from discovery.host.stopping import Interrupted, asked_to_stop
from discovery.search import regime, situation
from discovery.search.cohort import Cohort, Trained
from discovery.search.streams import Purpose
from envs.base import Measuring
from mpo import treefile
from mpo.claim import Claim
from mpo.errors import RequestError
from mpo.log import JsonLog, Line, is_number, numbers, strict
from mpo.objectives import Objective
from mpo.train import Algorithm, Graded, Learnt
from mpo.train.logprob import log_probs
from mpo.train.refinement import Refined, Refining
from mpo.train.responses import Responses
from mpo.train.rounds import opening, rounds_on

ROUNDS, AGENT, RECORD, STATE = "rounds.jsonl", "agent.npz", "record.json", "state.npz"
POLICY, REWARD = "policy", "reward"
"""Folders of the agent, and of a reward model that is refined, as they were after each stretch: by
the rounds that were done, paths for `discovery weights`."""
PARTS = 20
"""At most into how many stretches a training is cut, after each of which it is saved."""
EPISODES = 64

Told = Callable[[int, int, Mapping[str, float]], None]
"""Called with the rounds that are done, how many there are, and what is recorded of the last."""


@dataclass(frozen=True)
class Outcome:
    """An agent and what it is worth.

    Attributes:
      params: of its policy.
      record: what was measured, as plain JSON values: `return` (exact where the task knows it),
        `kl` to the agent before training in nats of a response, `samples`, `seconds`, and more.
      rounds: what was recorded of each round, by name, shape [rounds].
    """

    params: Any
    record: dict[str, Any]
    rounds: dict[str, Float[np.ndarray, "rounds"]]


def carry_out(
    config: Config,
    objective: Objective,
    seed: int = 0,
    out: Path | None = None,
    told: Told = lambda done, rounds, seen: None,
) -> Outcome:
    """Train an agent and measure it.

    Args:
      config: where and how.
      objective: by which loss.
      seed: of the agent: prompts, samples and minibatches.
      out: a folder that keeps it all; the same request goes on in it.
      told: of what is recorded, once before the first round and as rounds are done.

    Raises:
      RequestError: the folder holds another training.
      Interrupted: the process was asked to stop; with a folder, the same request goes on.
    """
    if out is None:
        return _carried_out(config, objective, seed, None, told)
    request = {
        "config": config.as_json(),
        "objective": {"name": objective.name, "is": repr(objective)},
        "seed": seed,
    }
    with Claim(out, "request.json", "training").held(request):
        return _carried_out(config, objective, seed, out, told)


def _carried_out(
    config: Config, objective: Objective, seed: int, out: Path | None, told: Told
) -> Outcome:
    ground = stage.prepare(config, Purpose.EVALUATION, all_devices())
    algorithm = ground.algorithm(objective)
    first, order, episodes = jax.random.split(jax.random.fold_in(ground.key, seed), 3)
    task, source = ground.task, ground.sources[0]
    begins = ground.begins(objective, 0)
    start = situation.begin(task, first, ground.moments[0], begins)
    began = time.monotonic()
    carry, updates = opening(algorithm, source, task.policy, order, start=start)
    updates = int(updates)
    rounds = algorithm.renewal.rounds(updates, algorithm.descent.batch)
    length = _length(rounds)
    log = None if out is None else JsonLog(out / ROUNDS)
    done, spent, rows = _resumed(out, log, carry)
    if done:
        carry = _read(out, carry)
    elif out is not None:
        _write(out, carry, done, spent, done)
    told(done, rounds, rows[-1] if rows else {})
    with asked_to_stop() as stop:
        while done < rounds:
            if stop():
                raise Interrupted(
                    "stopped; the same command goes on" if out else "stopped, and nothing is kept"
                )
            begun, made = time.monotonic(), min(length, rounds - done)
            carry, seen = rounds_on(
                algorithm, source, task.policy, order, carry, jnp.int32(done), made, start=start
            )
            own = [  # a number each: what is recorded of every update stays in its arrays
                {name: float(v[at]) for name, v in jax.device_get(seen).items() if v.ndim == 1}
                for at in range(made)
            ]
            done, spent = done + made, spent + time.monotonic() - begun
            rows += own
            if out is not None and log is not None:
                lines = [{"round": done - made + at, **row} for at, row in enumerate(own)]
                log.write([_line(line) for line in lines])
                _write(out, carry, done, spent, _refined(algorithm, done, made))
            told(done, rounds, own[-1])
    state = carry[0]
    kept = {name: np.array([row[name] for row in rows]) for name in (rows[0] if rows else {})}
    record = {
        "objective": objective.name,
        "task": task.name,
        "seed": seed,
        **_worth(ground, state, episodes, start),
        "samples": int(kept["samples"][-1]) if "samples" in kept else 0,
        "steps": int(kept["steps"][-1]) if "steps" in kept else 0,
        "updates": updates,
        "rounds": rounds,
        "finite": bool(state.finite),
        "seconds": round(spent, 3),
        "seconds_in_all": round(time.monotonic() - began, 3),
    }
    if kept:
        record["last_round"] = {name: float(values[-1]) for name, values in kept.items()}
    if isinstance(source, Graded):
        grader = source.grader
        assert isinstance(grader, Learnt)
        if isinstance(carry[1], Refining):
            grader = replace(grader, params=carry[1].model)
        record["grader"] = _agreement(replace(source, grader=grader))
        if out is not None:
            regime.write(grader, out / "reward_model")
    if out is not None:
        treefile.replace(out / AGENT, treefile.pack(state.params))
        treefile.replace(out / RECORD, (_line(record, indent=1) + "\n").encode())
    return Outcome(state.params, record, kept)


def _worth(ground: Any, state: Any, key: Any, start: Any) -> dict[str, float]:
    """Return what an agent earns, and how far it went from where it started."""
    task = ground.task
    if hasattr(task, "expected_return"):
        try:
            kl = {"kl": float(task.divergence(state.params))} if hasattr(task, "divergence") else {}
            return {"return": float(task.expected_return(state.params)), **kl}
        except RequestError:  # not of this architecture
            pass
    cohort = Cohort(ground, EPISODES)
    agent = Trained(
        jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], state.params),
        state.finite[None],
        jax.random.key_data(key)[None],
    )
    found = {"return": float(cohort.score(agent)[0])}
    if BY_MEAN in measures(task):
        found["return_by_mean_action"] = float(cohort.score(agent, "mean")[0])
        found["log_std"] = float(cohort.log_std([agent])[0, 0])
    if isinstance(task, Measuring):
        found |= {name: float(value[0, 0]) for name, value in cohort.beside([agent]).items()}
    found["kl"] = float(divergence(task, state.params, start, jax.random.fold_in(key, 1)))
    return found


@partial(jax.jit, static_argnums=0)
def divergence(task: envs.Task, params: Any, start: Any, key: Any) -> Any:
    """Return the mean log-ratio of the agent to where it started, over responses of its own."""
    where, how = jax.random.split(key)
    starts = jax.vmap(task.start)(jax.random.split(where, EPISODES))
    found = jax.vmap(task.respond, (None, 0, 0))(params, starts, jax.random.split(how, EPISODES))
    batch = Responses(
        inputs=found.inputs[:, None],
        outputs=found.outputs[:, None],
        lengths=jnp.sum(found.mask, axis=-1, dtype=jnp.int32)[:, None],
        reward=None,
        ref_logp=None,
        steps=task.horizon,
    ).batch(jnp.arange(EPISODES, dtype=jnp.int32))
    return jnp.mean(log_probs(task.policy, params, batch) - log_probs(task.policy, start, batch))


def _agreement(source: Graded) -> dict[str, float]:
    """Return how often a learnt grader ranks the data as they are ranked."""
    rows = jnp.arange(min(source.size, 4096), dtype=jnp.int32)
    batch = source.source.batch(rows)
    assert isinstance(source.grader, Learnt)
    graded = source.grader.scores(batch)
    return {"agrees": float(jnp.mean(graded[:, 0] > graded[:, -1]))}


def _length(rounds: int) -> int:
    """Return the rounds of a stretch, of which there are no more than `PARTS`.

    All stretches are equal where a length up to twice the least allows it (each length compiles a
    program); else the last is shorter.
    """
    least = -(-rounds // PARTS)
    return next((n for n in range(least, 2 * least) if rounds % n == 0), least)


def _resumed(out: Path | None, log: JsonLog | None, like: Any) -> tuple[int, float, list[Any]]:
    """Return the rounds that are done, the seconds they took, and what was recorded of them."""
    if out is None or log is None or not (out / STATE).exists():
        if log is not None:
            log.cut(lambda line: False)
        return 0, 0.0, []
    done, spent = _unpacked(out, like)[:2]
    lines = [line for line in log.lines() if _of_a_round(line) and line["round"] < done]
    if [line["round"] for line in lines] != [*range(done)] or len({*map(tuple, lines)}) > 1:
        raise RequestError(
            f"{log.path} is damaged: it has not a line for each of {done} rounds; choose another "
            "folder"
        )
    log.cut(lambda line: _of_a_round(line) and line["round"] < done)
    rows = [numbers({n: v for n, v in line.items() if n != "round"}) for line in lines]
    return done, spent, rows


def _of_a_round(line: Line) -> bool:
    """Return whether a line of the log is one of a round, and not what damage made of it."""
    return type(line.get("round")) is int and all(
        value is None or is_number(value) for value in line.values()
    )


def _read(out: Path | None, like: Any) -> Any:
    assert out is not None
    return _unpacked(out, like)[2]


def _unpacked(out: Path, like: Any) -> tuple[int, float, Any]:
    whole = {"done": jnp.int32(0), "spent": jnp.float32(0), "carry": like}
    template = treefile.template(lambda: whole)
    try:
        found = treefile.unpack((out / STATE).read_bytes(), template)
    except (OSError, treefile.Misfit) as error:
        raise RequestError(f"{out / STATE} is damaged: {error}; choose another folder") from error
    return int(found["done"]), float(found["spent"]), found["carry"]


def _refined(algorithm: Algorithm, done: int, length: int) -> int:
    """Return after how many rounds the reward model that a stretch ends with was refined.

    A refinement is the beginning of a round, so that of a stretch follows the agent that the
    stretch before ended with; where there are several in a stretch, the last is nearer its end.
    """
    renewal = algorithm.renewal
    late = isinstance(renewal, Refined) and renewal.every < length
    return done if late else done - length


def _write(out: Path, carry: Any, done: int, spent: float, refined: int) -> None:
    moving = {POLICY: (done, carry[0].params)}
    if isinstance(carry[1], Refining):
        moving[REWARD] = (refined, carry[1].model)
    for folder, (number, params) in moving.items():
        (out / folder).mkdir(exist_ok=True)
        treefile.replace(out / folder / f"{number}.npz", treefile.pack(params))
    whole = {"done": jnp.int32(done), "spent": jnp.float32(spent), "carry": carry}
    treefile.replace(out / STATE, treefile.pack(whole))


def _line(values: Mapping[str, Any], indent: int | None = None) -> str:
    return json.dumps(strict(dict(values)), indent=indent, allow_nan=False)
