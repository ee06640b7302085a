"""Objectives of a minibatch as a whole: alignment of distributions by optimal transport.

Between two sets of numbers the cheapest transport takes the least to the least, and so on upwards.
So each of these is DPO of comparisons that a minibatch is paired into anew, by sorting; of a
minibatch of one it is DPO.
"""

from dataclasses import dataclass
from typing import ClassVar, final

import jax
import jax.numpy as jnp
from jax.lax import stop_gradient
from jax.nn import log_sigmoid
from jaxtyping import Array, Float, Int
from typing_extensions import override

from mpo.comparison import Comparison
from mpo.objectives.base import Loss, Objective, Weight, given
from mpo.objectives.direct import Referring
from mpo.pytree import pytree

Pairs = Float[Array, "B 2"]


@dataclass(frozen=True, kw_only=True)
class _Sorted(Referring):
    """DPO of a minibatch that was paired anew."""

    whole: ClassVar = True

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        return -log_sigmoid(self.pulled(c))


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class AOT(_Sorted):
    """-log σ(β (Δ log π - Δ log π_ref)), both sorted over the minibatch: alignment by transport.

    (Melnyk et al., 2024, for pairs; TRL's `aot`.) The gap between chosen and rejected, Δ log π, is
    to be above that of the reference as a distribution, and not pair by pair.
    """

    name: ClassVar = "aot"

    @override
    def paired(self, batch: Comparison, weight: Weight = None) -> tuple[Comparison, Weight]:
        logp, ref_logp = _ends(self, batch)
        order = _upwards(logp[:, 0] - logp[:, 1], weight)
        ref_order = _upwards(ref_logp[:, 0] - ref_logp[:, 1], weight)
        return _made(logp[order], ref_logp[ref_order]), _taken(weight, order)


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class AOTUnpaired(_Sorted):
    """-log σ(β (r_w - r_l)), both sorted over the minibatch: unpaired alignment by transport.

    (Melnyk et al., 2024; TRL's `aot_unpaired`.) The chosen responses are to be above the rejected
    as a distribution; which belongs to which is not read.
    """

    name: ClassVar = "aot_unpaired"

    @override
    def paired(self, batch: Comparison, weight: Weight = None) -> tuple[Comparison, Weight]:
        logp, ref_logp = _ends(self, batch)
        ratio = logp - ref_logp
        orders = [_upwards(ratio[:, side], weight) for side in (0, 1)]
        order = jnp.stack(orders, axis=1)
        made = [jnp.take_along_axis(one, order, axis=0) for one in (logp, ref_logp)]
        return _made(*made), _taken(weight, orders[0])


def _ends(objective: Objective, batch: Comparison) -> tuple[Pairs, Pairs]:
    """Return log π and log π_ref, as the objective sees them, of the best and worst of each."""

    def ends(c: Comparison) -> tuple[Float[Array, "2"], Float[Array, "2"]]:
        own = c.checked(objective.needs, by=objective.name, least=objective.least)
        own = own.per_step() if objective.length_normalise else own
        logp, ref_logp = jnp.asarray(own.logp), given(own.ref_logp)
        return jnp.stack([logp[0], logp[-1]]), jnp.stack([ref_logp[0], ref_logp[-1]])

    return jax.vmap(ends)(batch)


def _made(logp: Pairs, ref_logp: Pairs) -> Comparison:
    """Return comparisons of a step, for they are divided by length already if they are to be."""
    return Comparison(logp=logp, length=jnp.ones_like(logp), ref_logp=ref_logp)


def _upwards(values: Float[Array, "B"], weight: Weight) -> Int[Array, "B"]:
    """Return the order in which values rise; those of comparisons that do not count are last."""
    fixed = stop_gradient(values)
    if weight is not None:
        fixed = jnp.where(weight > 0, fixed, jnp.inf)
    return jnp.argsort(fixed)


def _taken(weight: Weight, order: Int[Array, "B"]) -> Weight:
    return None if weight is None else weight[order]
