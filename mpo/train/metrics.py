"""What is recorded of a training: means over a few equal stretches of it."""

from dataclasses import dataclass, field

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mpo.comparison import Comparison
from mpo.pytree import pytree

Values = dict[str, Array]


@pytree
@dataclass(frozen=True)
class Metrics:
    """How a training went. Every array of shape [P] has a mean over each stretch of updates.

    Log-probabilities are as the objective sees them (per step if it normalises by
    length, and in the margin relative to the reference if it uses one).

    Attributes:
      loss: mean of the objective over the minibatches of each stretch of updates.
      accuracy: share of comparisons whose margin is positive, the implied ranking of the
        best and the worst response being right.
      margin: log-probability of the best response minus that of the worst.
      chosen: log-probability of the best response.
      rejected: log-probability of the worst response.
      gradient_norm: global norm of the gradient, before it is clipped.
      updates: the updates that were made, a number; fewer than asked for if one was not finite.
      finite: whether all of them were finite. If not, the parameters are those before the
        first that was not, and stretches without an update are NaN.
      rounds: what the renewal of the data recorded of each round, by name; nothing on fixed data.
    """

    loss: Float[Array, "*agents stretches"]
    accuracy: Float[Array, "*agents stretches"]
    margin: Float[Array, "*agents stretches"]
    chosen: Float[Array, "*agents stretches"]
    rejected: Float[Array, "*agents stretches"]
    gradient_norm: Float[Array, "*agents stretches"]
    updates: Int[Array, "*agents"]
    finite: Bool[Array, "*agents"]
    rounds: Values = field(default_factory=dict)


def of_batch(comparisons: Comparison) -> Values:
    """Return the means over a batch of comparisons."""
    chosen, rejected = comparisons.logp[:, 0], comparisons.logp[:, -1]
    margin = chosen - rejected
    if comparisons.ref_logp is not None:
        margin = margin - (comparisons.ref_logp[:, 0] - comparisons.ref_logp[:, -1])
    return {
        "accuracy": jnp.mean(margin > 0, dtype=margin.dtype),
        "margin": jnp.mean(margin),
        "chosen": jnp.mean(chosen),
        "rejected": jnp.mean(rejected),
    }


MEANS = ("loss", "accuracy", "margin", "chosen", "rejected", "gradient_norm")


@pytree
@dataclass(frozen=True)
class Recorder:
    """Sums over stretches in float32, in the carry of the loop.

    Attributes:
      sums: of each of `MEANS`, shape [P, 6].
      counts: updates in each stretch so far, shape [P].
    """

    sums: Float[Array, "stretches means"]
    counts: Int[Array, "stretches"]

    @classmethod
    def empty(cls, stretches: int) -> "Recorder":
        """Return a record of nothing."""
        return cls(jnp.zeros((stretches, len(MEANS))), jnp.zeros(stretches, jnp.int32))

    def add(self, stretch: Int[Array, ""], values: Values, made: Bool[Array, ""]) -> "Recorder":
        """Add the values of an update, if it was made."""
        row = jnp.stack([values[name].astype(self.sums.dtype) for name in MEANS])
        return Recorder(
            self.sums.at[stretch].add(jnp.where(made, row, jnp.zeros_like(row))),
            self.counts.at[stretch].add(made.astype(jnp.int32)),
        )

    def metrics(self, finite: Bool[Array, ""], rounds: Values) -> Metrics:
        """Return the means, and what was recorded of each round."""
        means = self.sums / self.counts.astype(self.sums.dtype)[:, None]
        columns = {name: means[:, column] for column, name in enumerate(MEANS)}
        made = jnp.sum(self.counts, dtype=jnp.int32)
        return Metrics(**columns, updates=made, finite=finite, rounds=rounds)
