"""Regimes of a run: from the settings of `training.regime` to a renewal of the data."""

import dataclasses
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

import envs
import mpo
from discovery.config.sections import FRESH, Training
from envs.judge import LEVELS, Judge, temperature
from mpo import modules, treefile
from mpo.errors import RequestError, unknown
from mpo.objectives import Objective
from mpo.policies import (
    GPTPolicy,
    MarkovPolicy,
    PolicyScores,
    PositionsPolicy,
    StepScores,
    TokenPolicy,
    TokenScores,
)
from mpo.settings import Checked, build, count, number, one_of
from mpo.train import (
    Algorithm,
    Fixed,
    Function,
    Graded,
    Grader,
    Implied,
    Learnt,
    Refined,
    Regime,
    Renewal,
    Source,
    Truth,
    fresh,
    hyper,
    moments,
    referenced,
    train,
)
from mpo.train.regime import DATA, POLICY, Ranked

TRUTH, LEARNT, IMPLIED = GRADERS = ("truth", "learnt", "implied")
_OF_MODEL = 2**31 + 2
"""Folded into the key of a purpose for its reward models; agents and authors have other numbers."""

KINDS = {"tokens": TokenScores, "policy": PolicyScores, "gpt": PolicyScores, "steps": StepScores}
"""Reward models by the name that a file has them under; "gpt" is of files from before bodies had
names."""
BODIES = {"gpt": GPTPolicy, "markov": MarkovPolicy, "positions": PositionsPolicy}
"""Policies that a reward model may be made of, likewise."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model(Checked):
    """How a reward model is fitted to the preference data.

    Attributes:
      loss: "bradley_terry", to the ranking; or "regression", to the true rewards of the data.
      kind: for tokens, "tokens" (a score each), "gpt", or "policy", of the architecture of the
        agent; steps of physics have a network.
      hidden: widths of that network.
      learning_rate, updates, batch: of Adam.
    """

    what = "training.regime.model"

    loss: str = one_of("bradley_terry", ("bradley_terry", "regression"))
    kind: str = one_of("tokens", ("tokens", "gpt", "policy"))
    hidden: tuple[int, ...] = (64, 64)
    learning_rate: float = number(3e-3, above=0.0)
    updates: int = count(1000)
    batch: int = count(64)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Refinement(Checked):
    """How a learnt grader is refined on what the agent writes (`mpo.train.Refined`).

    Attributes:
      every: rounds after which it is.
      prompts: pairs for that.
      mix: how far the model goes to what was fitted.
      judge, flip: who ranks the pairs, as of a regime; by default by their true rewards.
      learning_rate, updates, batch: of Adam.
    """

    what = "training.regime.refine"

    every: int = count(10)
    prompts: int = count(32)
    mix: float = number(1.0, above=0.0, at_most=1.0)
    judge: str | float | None = None
    flip: float | None = None
    learning_rate: float = number(3e-3, above=0.0)
    updates: int = count(50)
    batch: int = count(16)

    def of(self, regime: Regime, task: envs.Task) -> Refined:
        """Return a regime whose grader is refined so."""
        fit = {"learning_rate": self.learning_rate, "updates": self.updates, "batch": self.batch}
        return Refined(
            regime=regime,
            every=self.every,
            prompts=self.prompts,
            mix=self.mix,
            judge=_judge(task, self.judge, self.flip),
            descent=hyper(**fit),
        )


def renewal(task: envs.Task, training: Training) -> Renewal:
    """Return what renews the data of a training; a learnt grader comes with the data.

    Raises:
      RequestError: a setting is unknown, or two cannot be together.
    """
    if not training.regime:
        return Fixed()
    settings = dict(training.regime)
    grader = _grader(str(settings.pop("grader", TRUTH)), settings.pop("beta", None))
    settings.pop("model", None)
    refine = settings.pop("refine", None)
    judge = _judge(task, settings.pop("judge", None), settings.pop("flip", None))
    if isinstance(grader, Implied) and settings.get("writer", POLICY) == DATA:
        raise RequestError(
            "training.regime.grader='implied' is of an agent that writes: it cannot be with "
            "training.regime.writer='data'"
        )
    if settings.get("share", 1.0) != 1.0 and settings.get("by", "all") == "all":
        raise RequestError(
            f"training.regime.share={settings['share']} leaves open which prompts are answered "
            "anew: say training.regime.by, such as 'lowest'"
        )
    made: Regime = build(
        Regime, "training.regime", {"task": task, "grader": grader, "judge": judge, **settings}
    )
    if refine is None:
        return made
    if training.regime.get("grader") != LEARNT or made.writer == DATA:
        raise RequestError(
            "training.regime.refine is of a reward model and of an agent that writes: it goes with "
            "training.regime.grader='learnt' and writer='policy'"
        )
    return build(Refinement, Refinement.what, _table(Refinement.what, refine)).of(made, task)


def fitting(algorithm: Algorithm) -> Algorithm:
    """Return an algorithm, or say that its objective and its regime do not go together.

    Warns where responses are used again by an objective that does not know who wrote them.
    """
    objective, regime = algorithm.objective, algorithm.renewal
    if isinstance(regime, Refined):
        regime = regime.regime
    needs = objective.needs
    name = f"objective {objective.name!r}"
    if not isinstance(regime, Regime):
        if missing := [one for one in ("credit", "sampled_logp") if one in needs]:
            raise RequestError(
                f"{name} reads {missing[0]!r}, which fixed data have none of: give "
                "training.regime, such as writer='policy'"
            )
        return algorithm
    if "sampled_logp" in needs and regime.writer == DATA:
        raise RequestError(
            f"{name} reads who wrote a response, and training.regime.writer='data' does not know"
        )
    costly = isinstance(regime.kl, float) and regime.kl > 0
    own = getattr(objective, "beta", 0.0) if objective.name == "grpo" else 0.0
    if costly and isinstance(own, float) and own > 0:
        raise RequestError(
            f"training.regime.kl={regime.kl:g} and objective.beta={own:g} of {objective.name!r} "
            "are both a cost of the KL: set one of them to 0"
        )
    if "credit" not in needs:
        usual = Regime(task=regime.task)
        for setting in ("kl", "scope", "shape"):
            value = getattr(regime, setting)
            if isinstance(value, float | str) and value != getattr(usual, setting):
                raise RequestError(
                    f"training.regime.{setting}={value!r} is of the credit of responses, which "
                    f"{name} does not read"
                )
    if regime.every and "ref_logp" not in needs and not costly:
        raise RequestError(
            f"training.regime.every={regime.every} moves a reference, which {name} does not read"
        )
    if regime.responses < objective.least and regime.writer != DATA:
        raise RequestError(
            f"{name} compares {objective.least} responses, and training.regime.responses is "
            f"{regime.responses}"
        )
    again = regime.writer == POLICY and regime.reuse > 1
    if again and "credit" in needs and "sampled_logp" not in needs and regime.shape == "linear":
        warnings.warn(
            f"training.regime.reuse={regime.reuse}, and {name} has no ratio to the writer: from "
            "the second update of a round on it is off policy, and does not know",
            stacklevel=2,
        )
    return algorithm


def needs_data(task: envs.Task, training: Training) -> bool:
    """Return whether anything of a training comes from a dataset."""
    if not training.regime:
        return True
    settings = training.regime
    fits = training.staged or settings.get("grader") == LEARNT
    normalised = training.before == FRESH and training.normalise and _sees_floats(task)
    return settings.get("writer") == DATA or fits or normalised


def judged(
    task: envs.Task, training: Training, source: Source, key: PRNGKeyArray
) -> Graded | Source:
    """Return data with the reward model that is learnt of them, where a regime grades by one."""
    if training.regime.get("grader") != LEARNT:
        return source
    model = build(Model, Model.what, _table(Model.what, training.regime.get("model", {})))
    return Graded(source, learnt(task, source, model, jax.random.fold_in(key, _OF_MODEL))[0])


def learnt(
    task: envs.Task, source: Source, model: Model, key: PRNGKeyArray
) -> tuple[Learnt, float]:
    """Fit a reward model to comparisons; return it, and how many of them it ranks right at last."""
    architecture = _architecture(task, source, model)
    first, order = jax.random.split(key)
    start = fresh(architecture, first, moments(source))
    if model.loss == "regression":
        objective: Objective = mpo.objective("rpo_sq", beta=1.0, eta=1.0)
        nothing = _Nothing()
        source = referenced(source, nothing, nothing.init(key))
    else:
        objective = mpo.objective("closed_form", alpha=0.0, beta=1.0, length_normalise=False)
    settings = hyper(
        learning_rate=model.learning_rate,
        updates=model.updates,
        batch=model.batch,
        schedule="cosine",
    )
    params, seen = train(objective, source, architecture, order, settings, start=start)
    return Learnt(model=architecture, params=params), float(seen.accuracy[-1])


def write(grader: Learnt, path: Path) -> None:
    """Write a reward model: `PATH.npz` and `PATH.json`."""
    kind = next(name for name, one in KINDS.items() if one is type(grader.model))
    about = {"kind": kind, "settings": dataclasses.asdict(grader.model)}
    if isinstance(grader.model, PolicyScores):
        about["body"] = next(n for n, one in BODIES.items() if one is type(grader.model.body))
    path.parent.mkdir(parents=True, exist_ok=True)
    treefile.replace(path.with_suffix(".npz"), treefile.pack(grader.params))
    treefile.replace(path.with_suffix(".json"), (json.dumps(about, indent=1) + "\n").encode())


def read(path: Path) -> Learnt:
    """Read a reward model back; nothing in a file is executed.

    Raises:
      RequestError: there is none, or it is damaged.
    """
    try:
        about = json.loads(path.with_suffix(".json").read_text())
        settings = dict(about["settings"])
        if "body" in settings:
            body = BODIES[about.get("body", "gpt")]
            settings = {"body": build(body, "the reward model", settings["body"])}
        settings = {n: tuple(v) if isinstance(v, list) else v for n, v in settings.items()}
        model = build(KINDS[about["kind"]], "the reward model", settings)
        like = treefile.template(model.init, jax.random.key(0))
        return Learnt(
            model=model, params=treefile.unpack(path.with_suffix(".npz").read_bytes(), like)
        )
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise RequestError(f"{path} holds no reward model: {error!r}") from error


def _grader(name: str, beta: float | None) -> Grader:
    if beta is not None and name != IMPLIED:
        raise RequestError("training.regime.beta is of the grader 'implied'")
    if name in (TRUTH, LEARNT):
        return Truth()  # one that is learnt comes with the data
    if name == IMPLIED:
        return Implied() if beta is None else Implied(beta=beta)
    if name.endswith(".npz"):
        return read(Path(name))
    if ":" in name:
        return Function(function=modules.function(name, "training.regime.grader"))
    raise unknown("grader", name, (*GRADERS, "FILE.py:FUNCTION", "MODEL.npz"))


def _table(what: str, given: object) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise RequestError(f"{what} must be a table, not {given!r}: say {what}.NAME=VALUE")
    return dict(given)


def _judge(task: envs.Task, level: str | float | None, flip: float | None) -> Any:
    if level is None and flip is None:
        return Ranked()
    hot: float | None = None
    if isinstance(level, str):
        if level not in LEVELS:
            raise unknown("judge", level, LEVELS)
        apart = task.defaults.apart
        if apart is None and LEVELS[level] is not None:
            raise RequestError(
                f"{task.name} calibrates no judge: give training.regime.judge as a temperature"
            )
        hot = temperature(level, *(apart or ()))
    elif isinstance(level, bool | list | Mapping):
        raise RequestError(f"training.regime.judge is a level or a temperature, not {level!r}")
    elif level is not None:
        hot = float(level)
    return Judge(temperature=hot, flip=flip or 0.0)


def _sees_floats(task: envs.Task) -> bool:
    return hasattr(task.policy, "normalised")


def _architecture(task: envs.Task, source: Source, model: Model) -> Any:
    batch = jax.eval_shape(source.batch, jax.ShapeDtypeStruct((1,), jnp.int32))
    if jnp.issubdtype(batch.inputs.dtype, jnp.floating):
        return StepScores(batch.inputs.shape[-1], batch.outputs.shape[-1], model.hidden)
    if model.kind == "policy":
        assert isinstance(task.policy, TokenPolicy)
        return PolicyScores(task.policy)
    vocabulary, length = task.policy.vocabulary, task.policy.length  # type: ignore[attr-defined]
    if model.kind == "gpt":
        body = task.policy if isinstance(task.policy, GPTPolicy) else GPTPolicy(vocabulary, length)
        return PolicyScores(body)
    return TokenScores(vocabulary)


@dataclasses.dataclass(frozen=True)
class _Nothing:
    """A reference of log-probability 0, which rewards are regressed against."""

    def init(self, key: PRNGKeyArray) -> Any:
        return jnp.zeros(())

    def log_prob(self, params: Any, inputs: Any, outputs: Any) -> Any:
        steps = outputs.shape[: 1 if not jnp.issubdtype(inputs.dtype, jnp.floating) else -1]
        return jnp.zeros(steps)
