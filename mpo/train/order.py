"""Which items an update sees: every epoch a new permutation, calculated rather than stored.

A stored permutation grows with data and population, and drawing one costs a sort. Here
the place of an item in an epoch is a pseudo-random function: a Feistel network over
Z_a × Z_b with a b ≥ size (Black & Rogaway, 2002, "Ciphers with arbitrary finite domains";
numbers beyond `size` walk on until they are inside), keyed by four words and the epoch.
"""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray, UInt32

from mpo.errors import RequestError

_ROUNDS = 4
_MOST = 2**31 - 1


@dataclass(frozen=True)
class Order:
    """The items of each update: consecutive runs of one permutation after another.

    Every run of `size` draws from the beginning has each item once; an update may hold
    the end of one epoch and the beginning of the next.

    Attributes:
      words: the key, a word for each round.
      size: the number of items.
      batch: items in an update.
    """

    words: Array
    size: int
    batch: int

    @classmethod
    def of(cls, key: PRNGKeyArray, size: int, batch: int, updates: int) -> "Order":
        """Return an order that depends on nothing but `key` and the sizes."""
        if size < 1:
            raise RequestError("there is nothing to train on: the source has no items")
        if updates * batch > _MOST:
            raise RequestError(
                f"{updates} updates of {batch} items are more than {_MOST} items in one "
                "training: use fewer updates or smaller batches"
            )
        return cls(jax.random.bits(key, (_ROUNDS,), jnp.uint32), size, batch)

    def items(self, update: Int[Array, ""]) -> Int[Array, " B"]:
        """Return the numbers of the items of an update."""
        drawn = update * self.batch + jnp.arange(self.batch, dtype=update.dtype)
        epoch, place = jnp.divmod(drawn, jnp.asarray(self.size, drawn.dtype))
        epoch, place = epoch.astype(jnp.uint32), place.astype(jnp.uint32)
        moved = jax.lax.while_loop(
            lambda x: jnp.any(x >= self.size),
            lambda x: jnp.where(x >= self.size, self._permute(x, epoch), x),
            self._permute(place, epoch),
        )
        return moved.astype(update.dtype)

    def _permute(self, x: UInt32[Array, " B"], epoch: UInt32[Array, " B"]) -> UInt32[Array, " B"]:
        """Return a permutation of [0, a b): one for each epoch."""
        a = math.isqrt(self.size - 1) + 1
        sides = (jnp.uint32(a), jnp.uint32(-(-self.size // a)))
        left, right = x % sides[0], x // sides[0]
        for number in range(_ROUNDS):
            word = self.words[number] + epoch * jnp.uint32(0x9E3779B9)
            left, right = right, (left + _mixed(right ^ _mixed(word)) % sides[0]) % sides[0]
            sides = (sides[1], sides[0])
        return left + right * sides[0]


def _mixed(x: UInt32[Array, "*n"]) -> UInt32[Array, "*n"]:
    """Return the finaliser of MurmurHash3: each bit of x moves half of the bits."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)
