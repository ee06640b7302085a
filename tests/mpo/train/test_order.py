import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mpo.errors import RequestError
from mpo.train.order import Order


def drawn(size, batch, updates, seed=0):
    """All items of a training, one update after another."""
    order = Order.of(jax.random.key(seed), size, batch, updates)
    items = jax.jit(jax.vmap(order.items))(jnp.arange(updates, dtype=jnp.int32))
    assert items.shape == (updates, batch)
    return np.asarray(items).reshape(-1)


@pytest.mark.parametrize(
    ("size", "batch"), [(1, 1), (2, 5), (3, 2), (13, 13), (60, 16), (97, 10), (1000, 1001)]
)
@pytest.mark.sweep
def test_every_epoch_has_each_item_once(size, batch):
    updates = -(-3 * size // batch)
    items = drawn(size, batch, updates)
    for epoch in range(3):
        np.testing.assert_array_equal(
            np.sort(items[epoch * size : (epoch + 1) * size]), np.arange(size)
        )


def test_epochs_and_keys_have_orders_of_their_own():
    first = drawn(1000, 100, 20, seed=1)
    for other in (first[1000:], drawn(1000, 100, 20, seed=2)[:1000], np.arange(1000)):
        assert np.mean(first[:1000] == other) < 0.02, "a random permutation fixes one item"
    np.testing.assert_array_equal(first, drawn(1000, 100, 20, seed=1))


def test_any_item_is_as_likely_at_any_place_and_beside_any_other():
    size, keys = 13, 6000
    orders = jax.vmap(lambda key: Order.of(key, size, size, 1).items(jnp.int32(0)))
    items = np.asarray(jax.jit(orders)(jax.random.split(jax.random.key(0), keys)))
    expected = keys / size
    for place in range(size):
        counts = np.bincount(items[:, place], minlength=size)
        assert np.sum((counts - expected) ** 2 / expected) < 40, "χ² with 12 degrees of freedom"
    pairs = np.bincount(items[:, 3] * size + items[:, 4], minlength=size**2).reshape(size, size)
    assert np.all(np.diag(pairs) == 0)
    apart = pairs[~np.eye(size, dtype=bool)]
    expected = keys / (size * (size - 1))
    assert np.sum((apart - expected) ** 2 / expected) < 230, "χ² with 155 degrees of freedom"


def test_an_order_stores_nothing_of_the_size_of_the_data():
    order = Order.of(jax.random.key(0), 123_457, 8, 10)
    jaxpr = jax.make_jaxpr(order.items)(jnp.int32(3))
    assert "123457]" not in str(jaxpr)


@pytest.mark.parametrize(
    ("size", "updates", "complaint"),
    [(0, 1, "no items"), (10, 2**27, "use fewer updates or smaller batches")],
)
def test_an_order_that_cannot_be_is_refused(size, updates, complaint):
    with pytest.raises(RequestError, match=complaint):
        Order.of(jax.random.key(0), size, 16, updates)
