"""Every loss is the point of the wide family that it is said to be; and the family's own roles."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mpo
from mpo.errors import RequestError
from mpo.objectives import OBJECTIVES, Wide
from mpo.objectives.points import OUTSIDE, POINTS, names, point
from mpo.potentials import BasisPotential, NetworkPotential

PAGE = Path(__file__).parents[2] / "docs" / "family.md"
FREE = ("psi", "phi_inv", "link")
seeds = st.integers(0, 2**32 - 1)


def comparison(seed, k):
    """Responses of 1 to 60 steps, some of which are likelier than one, as densities are."""
    rng = np.random.default_rng(seed)
    length = rng.integers(1, 60, k)
    logp = -rng.gamma(2.0, 1.0, k) * length + rng.normal(0, 3, k)
    return mpo.Comparison(
        logp=jnp.asarray(logp),
        length=jnp.asarray(length),
        ref_logp=jnp.asarray(logp + rng.normal(0, 2, k)),
        reward=jnp.asarray(rng.normal(0, 1, k)),
        credit=jnp.asarray(rng.normal(0, 1, k)),
    )


@jax.jit
def value_and_slope(objective, c, progress):
    def loss(logp):
        return objective(dataclasses.replace(c, logp=logp), progress)

    return jax.value_and_grad(loss)(c.logp)


def assert_same_loss(one, other, c, progress=0.4, rtol=1e-11):
    found, expected = (value_and_slope(each, c, progress) for each in (one, other))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-11)


def elsewhere(name):
    """Return a loss with settings that are none of its defaults."""
    made = mpo.objective(name)
    if name == "mpo":
        few = BasisPotential.of({"x": 0.5, "logit": 1.5}, temporal=True)
        return mpo.objective(name, psi=few, phi_inv=BasisPotential.of({"log": 2.0}), lam=0.3)
    numbers = [f.name for f in dataclasses.fields(made) if isinstance(getattr(made, f.name), float)]
    return dataclasses.replace(made, **{one: getattr(made, one) * 0.9 for one in numbers})


@pytest.mark.parametrize("name", names())
@pytest.mark.sweep
@pytest.mark.usefixtures("x64")
def test_a_loss_is_its_point(name):
    """Off its defaults, too, and of three responses."""
    loss = elsewhere(name)
    wide = point(loss)

    @given(seed=seeds, progress=st.sampled_from([0.0, 0.3, 1.0]))
    @settings(max_examples=30, deadline=None)
    def same(seed, progress):
        assert_same_loss(wide, loss, comparison(seed, 3), progress)

    same()


def test_every_loss_is_a_point_or_says_why_not():
    assert {*OBJECTIVES.values()} == {*POINTS, *OUTSIDE, Wide}
    for kind in OUTSIDE:
        with pytest.raises(
            RequestError, match=r"no point of the wide family: it (reads who wrote|pairs a m)"
        ):
            point(kind())


def test_the_page_says_which_point_each_loss_is_and_names_every_setting():
    from discovery.cli.family import said

    text = PAGE.read_text()
    for name, words in said().items():
        assert f"| `{name}` | {words} |" in text
    for field in dataclasses.fields(Wide):
        assert f"`{field.name}`" in text, field.name


# --- roles ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("x64")
@given(seed=seeds, shift=st.floats(-9, 9), spread=st.floats(0.2, 5))
@settings(max_examples=20, deadline=None)
def test_an_anchored_loss_is_the_same_where_densities_are_in_other_units(seed, shift, spread):
    """Per step, every log π moved and stretched, with the anchor of that task."""
    c = comparison(seed, 2)
    here = point(mpo.objective("gce", q=0.5), free=("psi",))
    there = dataclasses.replace(here, anchor=shift, spread=spread)
    moved = dataclasses.replace(c, logp=c.logp * spread + shift * c.length.astype(float))
    np.testing.assert_allclose(
        value_and_slope(there, moved, 0.0)[0], value_and_slope(here, c, 0.0)[0], rtol=1e-8
    )


@pytest.mark.usefixtures("x64")
def test_the_reference_comes_in_by_degrees():
    c = comparison(1, 2)
    dpo = point(mpo.objective("dpo", beta=0.4))
    simpo = mpo.objective("simpo", beta=0.4, gamma=0.0, length_normalise=False)
    assert_same_loss(dataclasses.replace(dpo, kappa=0.0), simpo, c)
    half = dataclasses.replace(c, ref_logp=c.ref_logp / 2)
    found = value_and_slope(dataclasses.replace(dpo, kappa=0.5), c, 0.0)
    np.testing.assert_allclose(found[0], value_and_slope(dpo, half, 0.0)[0], rtol=1e-12)


@pytest.mark.usefixtures("x64")
def test_all_pairs_are_the_mean_of_each():
    c, wide = comparison(3, 4), point(mpo.objective("hinge", beta=0.2))
    pairs = [(i, j) for i in range(4) for j in range(i + 1, 4)]
    each = [float(wide(jax.tree.map(lambda x, p=p: x[jnp.array(p)], c))) for p in pairs]
    every = dataclasses.replace(wide, pairs="all")
    np.testing.assert_allclose(every(c), np.mean(each), rtol=1e-12)


@pytest.mark.usefixtures("x64")
def test_a_gate_weighs_imitation_by_the_margin_and_pulls_nowhere_itself():
    c = comparison(4, 2)
    sft = point(mpo.objective("sft"))
    gated = dataclasses.replace(sft, gate=0.1)
    apart = c.logp[0] - c.logp[1]
    weight = 2 / (1 + np.exp(-0.1 * apart))
    slope = value_and_slope(gated, c, 0.0)[1]
    np.testing.assert_allclose(slope, weight * value_and_slope(sft, c, 0.0)[1], rtol=1e-12)


@pytest.mark.usefixtures("x64")
def test_ta_mpo_goes_from_imitation_to_preference():
    c = comparison(5, 2)
    loss = mpo.objective("ta_mpo", lam=0.7, turn=2.0)
    sft = mpo.objective("sft", length_normalise=True)
    preferring = dataclasses.replace(point(mpo.objective("orpo", lam=0.7)), imitation=0.0)
    assert_same_loss(loss, sft, c, 0.0)
    assert_same_loss(loss, preferring, c, 1.0)
    half = float(loss(c, 0.5**0.5))
    np.testing.assert_allclose(half, (float(sft(c)) + float(preferring(c))) / 2, rtol=1e-12)


@pytest.mark.sweep
def test_a_free_network_for_a_link_begins_at_the_log_sigmoid_and_increases():
    network = NetworkPotential.orpo("link", 9)
    z = jnp.linspace(-40, 40, 81)
    np.testing.assert_allclose(jax.vmap(network)(z), jax.nn.log_sigmoid(z), rtol=1e-6)
    acting = dataclasses.replace(network, output=network.output + 1.0)
    assert np.all(np.diff(jax.vmap(acting)(z)) >= 0)


def test_roles_of_what_is_not_read_are_refused():
    for setting, name in {"kappa": "ref_logp", "eta": "reward", "trust": "reward"}.items():
        with pytest.raises(RequestError, match=f"{setting} = 0.5, a weight of '{name}'"):
            mpo.objective("wide", **{setting: 0.5})
        assert mpo.objective("wide", needs=(name,), **{setting: 0.5}).needs == (name,)
    with pytest.raises(RequestError, match=r"'reward', which it does not read: add it to .*needs"):
        mpo.objective("wide", imitated="advantage")
    with pytest.raises(RequestError, match="'ref_logp'"):
        mpo.objective("wide", needs=("ref_log",))
    with pytest.raises(RequestError, match="role of the wide family 'ps'"):
        point(mpo.objective("sft"), free=("ps",))


# --- searched, saved, exported --------------------------------------------------------------

MOVED = (
    *("imitation", "lam", "beta", "gamma", "noise", "kappa", "fade", "rise", "turn", "anchor"),
    *("psi_free", "phi_inv_free", "link_free"),
)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ["robust_dpo", "gce"])
def test_a_search_begins_at_the_loss_itself_and_leaves_it(name):
    """At roles that are empty or full, too: 0 and 1 are points of the charts."""
    loss, c = elsewhere(name), comparison(6, 2)
    zeta, rebuild = mpo.ravel(point(loss, free=FREE, temporal=True), over=MOVED)
    assert_same_loss(rebuild(zeta), loss, c, rtol=1e-6)
    assert_same_loss(point(rebuild(zeta)), rebuild(zeta), c)
    steps = np.random.default_rng(0).normal(0, 0.7, zeta.shape)
    other = rebuild(zeta + steps)
    assert abs(float(other(c, 0.5)) - float(loss(c, 0.5))) > 1e-3
    assert 0 <= float(other.kappa) <= 1


def moved(name, seed=0):
    zeta, rebuild = mpo.ravel(point(mpo.objective(name), free=FREE, temporal=True), over=MOVED)
    steps = np.random.default_rng(seed).normal(0, 0.5, zeta.shape)
    return rebuild(zeta + jnp.asarray(steps, zeta.dtype))


def test_what_a_search_leaves_is_saved_and_loaded(tmp_path):
    expected, c = moved("kto_pair"), comparison(7, 2)
    mpo.save(expected, tmp_path / "it")
    found = mpo.load(tmp_path / "it").objective
    assert found.needs == ("ref_logp",)
    jax.tree.map(np.testing.assert_array_equal, found, expected)  # of one structure
    np.testing.assert_array_equal(found(c, 0.3), expected(c, 0.3))


def test_an_empty_role_leaves_no_trace_in_a_formula():
    from mpo.expressions import expression

    formula = expression(point(mpo.objective("ipo", beta=0.25)))
    assert formula.constants == {"gamma": 2.0}
    assert {str(one) for one in formula.inputs} == {
        *("logp_w", "logp_l", "ref_logp_w", "ref_logp_l")
    }
    assert not formula.temporal
