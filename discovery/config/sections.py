"""What a run is described by: one frozen dataclass a section, whose settings check themselves."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from typing_extensions import override

from mpo.errors import RequestError
from mpo.settings import Checked, build, count, number, one_of

Settings = Mapping[str, Any]  # passed on to what they are settings of, which checks them


S = TypeVar("S", bound="Section")


class Section(Checked):
    """A table of settings, which messages call as they are called on the command line."""

    @classmethod
    def of(cls: type[S], values: Mapping[str, Any]) -> S:
        """Return the section with these settings, or say which is unknown or cannot be."""
        return build(cls, cls.called(), values)

    @classmethod
    @override
    def called(cls) -> str:
        return cls.__name__.lower()

    @classmethod
    @override
    def place(cls, name: str, what: str) -> str:
        """Return how a setting is called in messages and on the command line."""
        return f"{what}.{name}"


MPO, WIDE = "mpo", "wide"
TUNED = "tuned"
"""Of what a search of the wide family starts from: the best loss that the run is evaluated against,
as it is tuned."""
FRESH = "fresh"
SFT = "sft"
AFTER = REFERRING, ALL = ("references", "all")
"""Which losses begin after a stage: those with a reference agent, or all."""
REWARDS = RAW, STANDARD = ("raw", "standard")
SHARES = ("generation", "pairs", "nothing")
ACTIONS = SAMPLED, MEAN = ("sampled", "mean")
"""What agents do when they are measured: draw from their policy, or take its mean."""
SEEDS = 2**20
"""Every seed is below this, so that each purpose and dataset has seeds of its own."""


@dataclass(frozen=True, kw_only=True)
class Task(Section):
    """Where agents act.

    Attributes:
      name: of the task (`envs.tasks()`).
      settings: its own, such as `horizon`.
    """

    name: str
    settings: Settings = field(default_factory=dict)


LATER = {"exact": False, "spread": None, "share": None}
"""Settings that data had none of at first: at these values they are left out of descriptions."""
RECIPE = (
    *("kind", "rows", "responses", "expert", "reference", "judge", "temperature", "flip"), *LATER
)  # fmt: skip
"""Settings of data that are generated; a file has none of them."""
FILE = ("path", "held_out", "sha256")
"""Settings of data that are in a file."""
ENOUGH = 128
"""Comparisons from which on a quarter of a file is held out, if nothing else is said."""


@dataclass(frozen=True, kw_only=True)
class Data(Section):
    """A preference dataset, and how training sees it; what is left out is as the papers have it.

    Attributes:
      path: a file that `discovery data make` or `discovery data import` wrote, relative to the
        working directory; if left out, the data are generated.
      held_out: share of its comparisons that nothing is chosen on and that evaluation trains
        on; 0 to choose and to evaluate on all of them. If left out, a quarter of a file that
        has `ENOUGH` comparisons, and nothing of a smaller one.
      sha256: of what is in the file, so that no other is taken for it; read off the file where
        it is left out.
      kind: what is wrong with generated data (`envs.data.KINDS`), or several such at once,
        "noisy+scarce".
      rows: number of comparisons; as many as the task has by default, if left out.
      responses: K, the responses that each comparison ranks.
      segment: steps that each comparison is cut into; whole responses, if left out.
      seed: which draw of the dataset; evaluation takes another of the same kind. Of a file:
        which of its comparisons are held out.
      expert, reference: names of the agents that write the responses.
      judge, temperature: how reliably it is ranked: a level, or a number.
      flip: share of the rankings that are reversed.
      exact: whether exactly that share is; if not, a coin is tossed for each ranking.
      spread: log-std of all authors' actions, in place of their own.
      share: of the rows that have the expert at all.
    """

    path: str | None = None
    held_out: float | None = number(None, at_least=0.0, below=1.0)
    sha256: str | None = None
    kind: str = "base"
    rows: int | None = count(None)
    responses: int | None = count(None)
    segment: int | None = count(None)
    seed: int = count(0, at_least=0, below=SEEDS)
    expert: str = "expert"
    reference: str | None = None
    judge: str | None = None
    temperature: float | None = number(None, above=0.0)
    flip: float | None = number(None, at_least=0.0, at_most=1.0)
    exact: bool = False
    spread: float | None = number(None)
    share: float | None = number(None, above=0.0, at_most=1.0)

    def __post_init__(self) -> None:
        """Refuse settings of a file without one."""
        super().__post_init__()
        if self.path is None:
            for name in FILE:
                if getattr(self, name) is not None:
                    raise RequestError(f"data.{name} is of a file: give data.path too")

    @classmethod
    @override
    def of(cls: type[S], values: Mapping[str, Any]) -> S:
        """Return the dataset with these settings; that of a file knows what is in it.

        Raises:
          RequestError: a setting is unknown or cannot be, a file is given with what only
            generated data have, or there is no such file.
        """
        if isinstance(path := values.get("path"), str):
            if given := [name for name in RECIPE if values.get(name) not in (None, False)]:
                raise RequestError(
                    f"data.path and data.{given[0]} were both given: a file is what it is, so "
                    "leave one of them out"
                )
            values = _with_contents(path, values)
        return super().of(values)

    def as_json(self) -> dict[str, Any]:
        """Return the settings that data of this origin have."""
        plain = dataclasses.asdict(self)
        other = FILE if self.path is None else RECIPE
        if self.responses is None:
            del plain["responses"]  # as in descriptions from before there was a choice
        dropped = {*other, *(name for name, usual in LATER.items() if plain[name] == usual)}
        return {name: value for name, value in plain.items() if name not in dropped}

    def choices(self) -> dict[str, Any]:
        """Return what `envs.data.plan` is to be told beside task, kind and seed."""
        chosen = {name: getattr(self, name) for name in RECIPE if name != "kind"}
        return {name: value for name, value in chosen.items() if value is not None}


def _with_contents(path: str, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Fill in what follows from the file where it is not recorded already."""
    if None not in (values.get("sha256"), values.get("held_out")):
        return values
    from envs.data import contents

    found = contents(path)
    usual = 0.25 if found.rows >= ENOUGH else 0.0
    said = {name: value for name, value in values.items() if value is not None}
    return {"sha256": found.sha256, "held_out": usual, **said}


@dataclass(frozen=True, kw_only=True)
class Family(Section):
    """The objectives searched: MPO with two learned potentials, from ORPO on; or one by hand.

    Or "wide", of which every hand-made loss is a point, from any of them on.

    Attributes:
      objective: whose settings are moved: "mpo", "wide", or a loss made by hand, from its own on.
      potential: of ψ and φ⁻¹: "basis" or "network" (`mpo.POTENTIALS`).
      temporal: whether they may change as training goes on.
      settings: of the potential, such as `units` or `library`; of "wide", settings of the loss in
        place of those of the point it starts from, such as `needs`.
      start: of "wide", the loss that it starts as: a name, or what was found; or "tuned", the best
        of `evaluation.against` once they are tuned. If left out, ORPO.
      free: of "wide", the roles ("psi", "phi_inv", "link") to which a function is added that can
        be moved, at "objective.psi_free" and so on.
      anchor: of "wide", the share of chosen responses whose log π, after an SFT of the same data,
        is below the anchor that the loss gets; if left out, it has none.
      lam: λ, the weight of the preference term.
      over: paths of the settings that are moved, such as "objective.psi", "descent.learning_rate"
        (or "training.hyper.learning_rate") and "training.regime.share"; if left out both
        potentials, or what a tuning of the loss covers.
    """

    objective: str = MPO
    potential: str = "basis"
    temporal: bool = False
    settings: Settings = field(default_factory=dict)
    lam: float = number(1.0, at_least=0.0)
    over: tuple[str, ...] | None = None
    start: str | None = None
    free: tuple[str, ...] = ()
    anchor: float | None = number(None, at_least=0.0, at_most=1.0)

    def __post_init__(self) -> None:
        """Refuse settings of the wide family for another one."""
        super().__post_init__()
        given = {"start": self.start, "free": self.free, "anchor": self.anchor}
        for name, value in given.items():
            if value not in (None, ()) and self.objective != WIDE:
                raise RequestError(f"family.{name} is of family.objective='wide': give that too")

    @property
    def paths(self) -> tuple[str, ...] | None:
        """What is moved, by its paths in an algorithm."""
        if self.over is None:
            return None
        return tuple(_in_algorithm(path) for path in self.over)


def _in_algorithm(path: str) -> str:
    for section, part in (("training.regime.", "renewal."), ("training.hyper.", "descent.")):
        if path.startswith(section):
            return part + path.removeprefix(section)
    return path


@dataclass(frozen=True, kw_only=True)
class Training(Section):
    """How every agent is trained.

    Attributes:
      start: "fresh" for a new agent from every key, or the level of a reference agent; "sft" for
        an agent that was fine-tuned on the chosen responses of the same data first, from a fresh
        one, or "sft:LEVEL" from that of a level.
      after_sft: which losses that agent is for: those with a reference, as DPO has ("references"),
        or "all"; the others start from where it started.
      rewards: what losses that read rewards are given: "raw", or "standard", with mean 0 and
        deviation 1 over the responses of a dataset.
      normalise: whether a fresh agent's observation normaliser is taken from the data.
      hyper: settings of the inner loop (`mpo.train.hyper`).
      regime: settings of responses that are written while agents train (`mpo.train.Regime`), with
        `grader`, `judge`, `flip` and `model` beside them (`discovery.search.regime`); if there are
        none, agents train on the data as they are.
      way: how a population is run (`mpo.train.WAYS`), or "auto".
      chunk: agents at once, for the way "chunks".
    """

    start: str = FRESH
    after_sft: str = one_of(REFERRING, AFTER)
    rewards: str = one_of(RAW, REWARDS)
    normalise: bool = True
    hyper: Settings = field(default_factory=dict)
    regime: Settings = field(default_factory=dict)
    way: str = "auto"
    chunk: int = count(8)

    def __post_init__(self) -> None:
        """Refuse to say who begins after a stage where there is none."""
        super().__post_init__()
        if self.after_sft != REFERRING and not self.staged:
            raise RequestError("training.after_sft is of a stage: give training.start='sft' too")

    @property
    def staged(self) -> bool:
        """Whether agents are fine-tuned before the training that is compared."""
        return self.start.partition(":")[0] == SFT

    @property
    def before(self) -> str:
        """Where agents start from before any stage: "fresh" or the level of a reference agent."""
        return (self.start.partition(":")[2] or FRESH) if self.staged else self.start


@dataclass(frozen=True, kw_only=True)
class Search(Section):
    """How ζ is moved.

    Attributes:
      strategy: a name of `discovery.search.strategies.STRATEGIES`.
      population: members of a generation.
      generations: number of generations.
      sigma, final_sigma: deviation of the members, in the first and in the last generation.
      learning_rate, final_learning_rate: of Adam, where the strategy follows a gradient.
      shaping: how it sees fitness: "ranks", "raw" or "standardized".
      seeds: agents trained for each member (and dataset); its fitness is their mean.
      episodes: that measure each agent.
      action: what agents do in them: "sampled" from their policy, or the "mean" of it, where
        their task has one.
      share: who has the same initialisation, minibatches and episodes: the whole
        "generation", antithetic "pairs", or "nothing".
    """

    strategy: str = "open_es"
    population: int = count(24)
    generations: int = count(10)
    sigma: float = number(0.4, above=0.0)
    final_sigma: float | None = number(None, at_least=0.0)
    learning_rate: float = number(0.15, above=0.0)
    final_learning_rate: float | None = number(None, at_least=0.0)
    shaping: str = "ranks"
    seeds: int = count(1)
    episodes: int = count(16)
    action: str = one_of(SAMPLED, ACTIONS)
    share: str = one_of("generation", SHARES)


@dataclass(frozen=True, kw_only=True)
class Evaluation(Section):
    """What the run ends with: candidates are selected, and the one selected is compared.

    Attributes:
      against: objectives by name, the first of which differences are taken from.
      seeds: agents trained for each objective, on another draw of the data; at least 2, for a
        standard error.
      episodes: that measure each agent.
      tune: whether the objectives it is against get learning rate and settings of their own,
        tuned on data and seeds set aside for it.
      selection_seeds: agents trained for each candidate before one is selected.
      selection: what candidates are selected by, if not the return of those agents: a measure
        that another package brings (`discovery.runs.selection`).
      selection_settings: settings of that measure.
    """

    against: tuple[str, ...] = ("orpo",)
    seeds: int = count(8, at_least=2)
    episodes: int = count(32)
    tune: bool = False
    selection_seeds: int = count(8)
    selection: str | None = None
    selection_settings: Settings | None = None

    def __post_init__(self) -> None:
        """Refuse an evaluation of nothing."""
        super().__post_init__()
        if not self.against:
            raise RequestError("evaluation.against needs at least one objective, such as 'orpo'")


@dataclass(frozen=True, kw_only=True)
class Config(Checked):
    """A run, whole.

    Attributes:
      about: a line that says what it is for.
      plugins: modules that it needs, by name or by the path of a file (`discovery.plugins`).
      task: where agents act.
      data: one dataset, or several that fitness is averaged over.
      family: the objectives that are searched.
      training: how an agent is trained by an objective.
      search: how objectives are moved.
      evaluation: what comes at the end.
      seed: of everything but the data.
    """

    task: Task
    data: tuple[Data, ...] = (Data(),)
    family: Family = field(default_factory=Family)
    training: Training = field(default_factory=Training)
    search: Search = field(default_factory=Search)
    evaluation: Evaluation = field(default_factory=Evaluation)
    seed: int = count(0, at_least=0, below=SEEDS)
    about: str = ""
    plugins: tuple[str, ...] = ()

    what: ClassVar[str] = "the run"

    def __post_init__(self) -> None:
        """Refuse a run on no data."""
        super().__post_init__()
        if not self.data:
            raise RequestError("a run needs at least one dataset: give data.kind")
        if self.family.start == TUNED and not self.evaluation.tune:
            raise RequestError(
                "family.start='tuned' is the best of evaluation.against as it is tuned: set "
                "evaluation.tune=true, or name a loss"
            )

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        plain = dataclasses.asdict(self) | {"data": [one.as_json() for one in self.data]}
        # As in descriptions from before there was a choice.
        if self.family.objective == MPO:
            del plain["family"]["objective"]
        if self.family.objective != WIDE:
            for name in ("start", "free", "anchor"):
                del plain["family"][name]
        if not self.plugins:
            del plain["plugins"]
        if self.search.action == SAMPLED:
            del plain["search"]["action"]
        if self.training.after_sft == REFERRING:
            del plain["training"]["after_sft"]
        if self.training.rewards == RAW:
            del plain["training"]["rewards"]
        if not self.training.regime:
            del plain["training"]["regime"]
        return {name: _plain(value) for name, value in plain.items()}


SECTIONS: Mapping[str, type[Section]] = {
    "task": Task,
    "data": Data,
    "family": Family,
    "training": Training,
    "search": Search,
    "evaluation": Evaluation,
}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, tuple | list) else value
