"""A pool: responses in groups, what they are worth, and the comparisons that are made of them."""

import dataclasses
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from mpo.pytree import pytree
from mpo.train.source import Batch

Places = Int[Array, "groups comparisons j"]


class Pairing(NamedTuple):
    """How the C ranked responses of a group become comparisons.

    Attributes:
      least: the fewest responses that it can be made of.
    """

    least: int


PAIRINGS: Mapping[str, Pairing] = MappingProxyType(
    {"all": Pairing(1), "ends": Pairing(2), "best_random": Pairing(2), "every_pair": Pairing(2)}
)
"""One comparison of all of them; of the best and the worst; of the best and a random other; or all
C (C - 1)/2 pairs."""


def per_group(pairing: str, responses: int) -> int:
    """Return how many comparisons are made of a group."""
    return responses * (responses - 1) // 2 if pairing == "every_pair" else 1


def paired(pairing: str, order: Int[Array, "groups responses"], key: PRNGKeyArray) -> Places:
    """Return which responses of each group stand in each of its comparisons, best first.

    Args:
      pairing: a name of `PAIRINGS`.
      order: responses of each group, best first.
      key: what a random other is drawn from.
    """
    groups, responses = order.shape
    if pairing == "all":
        return order[:, None]
    if pairing == "ends":
        return order[:, None, np.array([0, responses - 1])]
    if pairing == "best_random":
        other = jax.random.randint(key, (groups, 1), 1, responses, jnp.int32)
        worse = jnp.take_along_axis(order, other, axis=1)
        return jnp.concatenate([order[:, :1], worse], axis=1)[:, None]
    pairs = np.array(list(itertools.combinations(range(responses), 2)))
    return order[:, pairs]


@pytree
@dataclass(frozen=True)
class Pool:
    """Comparisons made of groups of C responses, with what is known of each response.

    A source like any other: item i is comparison i mod n of group ⌊i/n⌋, if n are made of each.

    Attributes:
      source: the groups, each an item of C responses.
      places: which responses of its group each comparison has, best first.
      weight: of each comparison; 0 where it says nothing, both responses being worth the same.
      reward: what training sees as the reward of each response of a group.
      credit: what each response is credited with.
      sampled_logp: its log-probability under the policy that wrote it; `None` if not known.
      ref_logp: its log-probability under the reference policy.
    """

    source: Any
    places: Int[Array, "size j"]
    weight: Float[Array, "size"]
    reward: Float[Array, "groups c"]
    credit: Float[Array, "groups c"]
    sampled_logp: Float[Array, "groups c"] | None
    ref_logp: Float[Array, "groups c"] | None

    @property
    def size(self) -> int:
        """The number of comparisons."""
        return int(self.places.shape[0])

    def batch(self, items: Int[Array, " B"]) -> Batch:
        """Gather some comparisons."""
        groups = items // (self.size // int(self.reward.shape[0]))
        found: Batch = self.source.batch(groups)
        places = self.places[items]

        def picked(values: Array) -> Array:
            at = places.reshape(*places.shape, *[1] * (values.ndim - 2))
            return jnp.take_along_axis(values, at, axis=1)

        def own(table: Array | None) -> Array | None:
            return None if table is None else picked(table[groups])

        return dataclasses.replace(
            found,
            inputs=picked(found.inputs),
            outputs=picked(found.outputs),
            mask=picked(found.mask),
            reward=own(self.reward),
            ref_logp=own(self.ref_logp),
            sampled_logp=own(self.sampled_logp),
            credit=own(self.credit),
            weight=self.weight[items],
        )
