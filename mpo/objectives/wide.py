"""The wide family: one loss of which every hand-made one is a point, part by part.

`mpo.objectives.points` has the table of which loss is which point; docs/family.md the formula.
"""

import itertools
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, final

import jax.numpy as jnp
from jax.lax import stop_gradient
from jax.nn import sigmoid
from jaxtyping import Array, Float
from typing_extensions import override

from mpo.comparison import Comparison
from mpo.errors import RequestError, unknown
from mpo.objectives.base import Loss, Objective, given
from mpo.objectives.reward_aware import DISTANCES
from mpo.objectives.weighted import LOG_GREATEST
from mpo.potentials.base import Potential
from mpo.potentials.links import Link
from mpo.potentials.named import Log, Logit
from mpo.pytree import pytree
from mpo.settings import Complaint, Number, count, number, one_of, switch

BEST, RANKING, THRESHOLD, ADVANTAGE, CREDIT = IMITATED = (
    "best", "ranking", "threshold", "advantage", "credit"
)  # fmt: skip
"""Who is imitated: the best, also the others, those with enough reward, all by their rewards, all
by what they are credited with."""
ENDS, ALL = PAIRS = ("ends", "all")
NONE: Final = "none"
READ: Final = ("ref_logp", "reward", "credit")
"""Optional fields of a comparison that have a role."""
_OF_FIELDS: Final = {"kappa": "ref_logp", "eta": "reward", "trust": "reward"}
"""Settings that weigh such a field, and nothing else."""


def _read(value: object) -> Complaint:
    for name in value if isinstance(value, tuple) else ():
        if name not in READ:
            return unknown("field with a role", str(name), READ)
    return None


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class Wide(Objective):
    """-c(t) G Σ_k ω_k ψ(x_k) - λ(t) W N[g](β (u_w - u_l) - γ - η (r_w - r_l)), every part optional.

    x is log π less the anchor; u_k = φ⁻¹(x_k) - κ φ⁻¹(x_k of the reference) is the score of a
    response; N[g](z) = (1 - ε) g(z) + ε g(-z). To ψ, φ⁻¹ and g a free function may be added, which
    a search moves. As it stands it is ORPO; `mpo.objectives.points.point` gives any other loss.

    Attributes:
      psi, psi_free: ψ, what is gained by a likely response; none of both: nothing is imitated.
      phi_inv, phi_inv_free: φ⁻¹, increasing.
      link, link_free: g, what is gained by a margin.
      needs: the optional fields of a comparison that are read; roles of others have no effect.
      least: the fewest responses it can work with.
      imitated: whose likelihood is raised (`IMITATED`).
      per_step: whether ψ sees the likelihood of a step where the rest sees that of a response.
      pairs: whether the best is compared with the worst, or every one with every lower one.
      points: whether responses are also held against a bar, one by one.
      distance: how far scores are from rewards over all K (`DISTANCES`), or "none".
      anchor: what is taken from log π, of a step: a constant of the task (`mpo.train.anchor`).
      spread: what log π is divided by after that: dimensions of an action, or a scale of the task.
      imitation: c, the weight of imitation.
      others: ω of the others, where the ranking is imitated; that of the best is 1.
      rare: share of the best response's likelihood below which others are not pushed down.
      threshold: reward above which a response is imitated.
      temperature: of rewards that imitation is weighted by.
      gate: how fast imitation rises with the margin: G = 2 σ(gate (u_w - u_l)), as a constant.
      kappa: κ, how much of the reference is taken off.
      beta: β, scale of a margin.
      gamma: γ, what a margin should be at least, or exactly, as g says.
      eta: η, scale of rewards: in the margin, and in the distance.
      guard: what is taken off the margin for each unit by which the best lost score.
      noise: ε, the share of labels taken to be flipped: above zero it smooths as cDPO, below it
        corrects as robust DPO does, whose own ε is -ε / (1 - 2 ε).
      trust: how fast preference rises with the gap of rewards: W = 2 σ(trust (r_w - r_l)).
      lam: λ, the weight of preference.
      lift, lower, restrain: weights with which the best is to be above the bar, the worst below
        it, and the best not above it.
      bar: share of the mean score of the pair, where that is above zero, that the bar is at.
      fit: weight of the distance.
      saturation: the greatest score of a reward in the distance "mirror".
      turn: p of s(t) = t^p, at which speed the loss goes from its start to its end.
      fade: share of imitation that is gone at the end: c(t) = c (1 - fade s(t)).
      rise: share of preference that is missing at the start: λ(t) = λ (1 - rise (1 - s(t))).
    """

    name: ClassVar = "wide"

    psi: Potential | None = field(default_factory=Log)
    psi_free: Potential | None = None
    phi_inv: Potential = field(default_factory=Logit)
    phi_inv_free: Potential | None = None
    link: Potential = field(default_factory=Link)
    link_free: Potential | None = None

    # What other classes know of all their objects is a setting of each here.
    needs: tuple[str, ...] = field(default=(), metadata={"static": True, "check": _read})  # type: ignore[misc]
    least: int = count(2)  # type: ignore[misc]
    length_normalise: bool = switch(True)
    imitated: str = one_of(BEST, IMITATED)
    per_step: bool = switch(False)
    pairs: str = one_of(ENDS, PAIRS)
    points: bool = switch(False)
    distance: str = one_of(NONE, (NONE, *DISTANCES))

    anchor: Number = number(0.0, unseen=(0.0,))
    spread: Number = number(1.0, above=0.0, unseen=(1.0,))
    imitation: Number = number(1.0, at_least=0.0, unseen=(0.0, 1.0))
    others: Number = number(0.0, at_most=1.0, unseen=(0.0,))
    rare: Number = number(0.01, above=0.0)
    threshold: Number = number(0.5)
    temperature: Number = number(0.3, above=0.0)
    gate: Number = number(0.0, unseen=(0.0,))
    kappa: Number = number(0.0, at_least=0.0, at_most=1.0, clipped=True, unseen=(0.0, 1.0))
    beta: Number = number(1.0, above=0.0, unseen=(1.0,), tried=(0.1, 0.3, 1.0, 3.0, 10.0))
    gamma: Number = number(0.0, unseen=(0.0,))
    eta: Number = number(0.0, at_least=0.0, unseen=(0.0, 1.0))
    guard: Number = number(0.0, at_least=0.0, unseen=(0.0,))
    noise: Number = number(0.0, at_most=0.5, unseen=(0.0,))
    trust: Number = number(0.0, at_least=0.0, unseen=(0.0,))
    lam: Number = number(1.0, at_least=0.0, unseen=(0.0, 1.0), tried=(0.03, 0.3, 1.0, 3.0, 30.0))
    lift: Number = number(0.0, at_least=0.0, unseen=(0.0, 1.0))
    lower: Number = number(0.0, at_least=0.0, unseen=(0.0, 1.0))
    restrain: Number = number(0.0, at_least=0.0, unseen=(0.0, 1.0))
    bar: Number = number(0.0, at_least=0.0, at_most=1.0, clipped=True, unseen=(0.0, 1.0))
    fit: Number = number(0.0, at_least=0.0, unseen=(0.0, 1.0))
    saturation: Number = number(1.0, above=0.0)
    turn: Number = number(1.0, above=0.0, unseen=(1.0,))
    fade: Number = number(0.0, at_least=0.0, at_most=1.0, clipped=True, unseen=(0.0, 1.0))
    rise: Number = number(0.0, at_least=0.0, at_most=1.0, clipped=True, unseen=(0.0, 1.0))

    def __post_init__(self) -> None:
        """Refuse roles of fields that are not read."""
        super().__post_init__()
        of_rewards = self.imitated in (THRESHOLD, ADVANTAGE) or self.distance != NONE
        wanted = {"reward": of_rewards, "credit": self.imitated == CREDIT}
        for name, asked in wanted.items():
            if asked and name not in self.needs:
                raise RequestError(
                    f"{self.called()} weighs responses by {name!r}, which it does not read: add "
                    f"it to its setting 'needs'"
                )
        for setting, name in _OF_FIELDS.items():
            value = getattr(self, setting)
            # One that is traced is moved by somebody who knows.
            if name not in self.needs and isinstance(value, int | float) and value != 0:
                raise RequestError(
                    f"{self.called()} has {setting} = {value:g}, a weight of {name!r}, which it "
                    f"does not read: add it to its setting 'needs'"
                )

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        done = progress**self.turn
        held = c if self.pairs == ALL or self.distance != NONE else _ends(c)
        scores = self._scores(held, progress)
        gain = self.lam * self._compared(held, scores, progress)
        if self.points:
            gain += self._against_the_bar(scores, progress)
        loss = -(1 - self.rise * (1 - done)) * gain
        if self.psi is not None or self.psi_free is not None:
            gate = 2 * sigmoid(self.gate * stop_gradient(scores[0] - scores[-1]))
            weight = self.imitation * (1 - self.fade * done) * gate
            loss -= weight * self._likelihood(c, progress)
        if self.distance != NONE:
            explicit = self.eta * given(c.reward)
            away = DISTANCES[self.distance](self.beta * scores, explicit, self.saturation)
            loss += self.fit * away
        return loss

    def _scores(self, c: Comparison, progress: Float[Array, ""]) -> Float[Array, "k"]:
        """Return u of every response."""

        def score(logp: Any) -> Float[Array, "k"]:
            parts = (self.phi_inv, self.phi_inv_free)
            return jnp.stack([_sum(parts, x, progress) for x in self._placed(c, logp)])

        own = score(c.logp)
        if "ref_logp" not in self.needs:
            return own
        return own - self.kappa * score(given(c.ref_logp))

    def _placed(self, c: Comparison, logp: Any, per_step: bool = False) -> Float[Array, "k"]:
        """Return x: log π of a response, or of a step of it, less the anchor."""
        if self.length_normalise:
            return (logp - self.anchor) / self.spread
        steps = jnp.maximum(c.length, 1)
        if per_step:
            return (logp / steps - self.anchor) / self.spread
        return (logp - self.anchor * steps) / self.spread

    def _compared(
        self, c: Comparison, scores: Float[Array, "k"], progress: Float[Array, ""]
    ) -> Float[Array, ""]:
        """Return the mean gain of pairs."""
        last = scores.size - 1
        every = list(itertools.combinations(range(scores.size), 2))
        pairs = every if self.pairs == ALL else [(0, last)]
        gains = jnp.stack([self._pair(c, scores, *pair, progress) for pair in pairs])
        return jnp.mean(gains)

    def _pair(
        self,
        c: Comparison,
        scores: Float[Array, "k"],
        better: int,
        worse: int,
        progress: Float[Array, ""],
    ) -> Float[Array, ""]:
        lost = jnp.maximum(-scores[better], 0)
        margin = self.beta * (scores[better] - scores[worse] - self.guard * lost) - self.gamma
        if "reward" not in self.needs:
            return self._gain(margin, progress)
        reward = given(c.reward)
        gap = reward[better] - reward[worse]
        return 2 * sigmoid(self.trust * gap) * self._gain(margin - self.eta * gap, progress)

    def _against_the_bar(
        self, scores: Float[Array, "k"], progress: Float[Array, ""]
    ) -> Float[Array, ""]:
        """Return what is gained by the best and the worst, each for itself."""
        best, worst = scores[0], scores[-1]
        bar = self.bar * stop_gradient(jnp.maximum((best + worst) / 2, 0))

        def above(score: Any, other: Any) -> Float[Array, ""]:
            return self._gain(self.beta * (score - other) - self.gamma, progress)

        return (
            self.lift * above(best, bar)
            + self.lower * above(bar, worst)
            + self.restrain * above(bar, best)
        )

    def _gain(self, margin: Float[Array, ""], progress: Float[Array, ""]) -> Float[Array, ""]:
        """Return N[g] of a margin."""
        parts = (self.link, self.link_free)
        right, flipped = (_sum(parts, z, progress) for z in (margin, -margin))
        return (1 - self.noise) * right + self.noise * flipped

    def _likelihood(self, c: Comparison, progress: Float[Array, ""]) -> Float[Array, ""]:
        """Return ψ of the responses that are imitated, times their weights."""
        x, parts = self._placed(c, c.logp, self.per_step), (self.psi, self.psi_free)
        weights = self._weights(c)
        # Those without a weight are left out: a ψ costs as much as the rest.
        values = (weight * _sum(parts, x[at], progress) for at, weight in weights.items())
        return sum(values, start=jnp.zeros_like(progress))

    def _weights(self, c: Comparison) -> dict[int, Any]:
        """Return ω of those that have one, by their place in the ranking."""
        last = c.logp.size - 1
        if self.imitated == BEST:
            return {0: 1}
        if self.imitated == RANKING:
            others = range(1, last + 1) if self.pairs == ALL else [last]
            return {0: 1} | {at: self._other(c, at) for at in others}
        if self.imitated == CREDIT:
            weights = given(c.credit)
        elif self.imitated == THRESHOLD:
            weights = jnp.where(given(c.reward) > self.threshold, 1.0, 0.0)
        else:
            weights = jnp.exp(jnp.minimum(given(c.reward) / self.temperature, LOG_GREATEST))
        return {at: weights[at] / c.logp.size for at in range(last + 1)}

    def _other(self, c: Comparison, at: int) -> Float[Array, ""]:
        rare = c.logp[at] - c.logp[0] <= jnp.log(self.rare)
        return jnp.where((self.others < 0) & rare, 0, self.others)


def _sum(
    parts: tuple[Potential | None, ...], x: Float[Array, ""], progress: Float[Array, ""]
) -> Float[Array, ""]:
    """Return the sum of those functions that there are."""
    first, *others = [part(x, progress) for part in parts if part is not None]
    return sum(others, start=first)


def _ends(c: Comparison) -> Comparison:
    """Return the comparison of the best and the worst response."""

    def ends(values: Any) -> Any:
        return None if values is None else jnp.stack([values[0], values[-1]])

    fields = ("ref_logp", "reward")
    return Comparison(ends(c.logp), ends(c.length), **{n: ends(getattr(c, n)) for n in fields})
