"""The anchor of a task: a quantile of what its chosen responses have, a step and entry."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mpo.errors import RequestError
from mpo.policies import GaussianPolicy
from mpo.train.anchor import anchor
from mpo.train.logprob import log_probs

POLICY = GaussianPolicy(2, 2, hidden=(4,))
PARAMS = POLICY.init(jax.random.key(0))


@pytest.mark.parametrize("quantile", [0.0, 0.5, 0.95])
def test_so_many_of_the_chosen_responses_are_below_it(ragged, quantile):
    view = ragged.view()
    batch = jax.jit(view.batch)(jnp.arange(view.size))
    steps = log_probs(POLICY, PARAMS, batch)[:, 0] / np.asarray(batch.length[:, 0], np.float32)
    found = anchor(view, POLICY, PARAMS, quantile, chunk=3)
    np.testing.assert_allclose(found.anchor, np.quantile(steps, quantile), rtol=1e-5)
    assert found.spread == 2  # entries of an action


def test_a_share_is_no_percentage(ragged):
    with pytest.raises(RequestError, match="quantile of an anchor"):
        anchor(ragged.view(), POLICY, PARAMS, 95.0)
