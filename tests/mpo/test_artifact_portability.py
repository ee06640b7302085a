"""Artifacts of schema 1, made once and kept: they still load, and mean what they meant."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import mpo

FOLDER = Path(__file__).parent / "artifacts"

# Loss, and its gradient in log π of both responses, at the start of training and a quarter in.
# ψ of "learned" is a temporal network of 9 units, its φ⁻¹ a basis of 3 functions; "named" has
# Tsallis φ⁻¹ of order ⅓, stored in double precision.
NUMBERS = {
    "learned": [
        [0.8458634614944458, -0.30200281739234924, 0.05142487958073616],
        [0.8476004600524902, -0.3017011284828186, 0.05142487958073616],
    ],
    "named": 2 * [[0.5640354752540588, -0.0533062182366848, 0.06577520072460175]],
}

# In a process of its own, as a reader of the files would: nothing of the search or the
# simulators is loaded with them.
LOADS = """
import json, sys
import jax, jax.numpy as jnp
import mpo

found = mpo.load(sys.argv[1]).objective

def loss(logp, progress):
    reference = jnp.array([-4.0, -6.0])
    pair = mpo.Comparison(logp=logp, length=jnp.array([4, 5]), ref_logp=reference)
    return found(pair, progress)

numbers = jax.value_and_grad(loss)
for progress in (0.0, 0.25):
    value, slopes = numbers(jnp.array([-3.0, -7.0]), progress)
    print(json.dumps([float(value), *map(float, slopes)]))
heavy = {"brax", "mujoco", "evosax", "orbax", "torch", "matplotlib", "envs", "discovery"}
assert not heavy & {name.split(".")[0] for name in sys.modules}
"""


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.sweep
def test_a_fresh_process_gets_the_numbers_of_then(name, tmp_path):
    root = str(Path(mpo.__file__).resolve().parents[1])
    done = subprocess.run(
        [sys.executable, "-c", LOADS, str(FOLDER / name)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    np.testing.assert_allclose(found, NUMBERS[name], rtol=2e-5)


def test_what_was_written_then_is_read_whole():
    learned, named = mpo.load(FOLDER / "learned"), mpo.load(FOLDER / "named")
    assert learned.provenance.fitness_history[0] == {"mean": 0.5, "best": 0.75}
    assert learned.objective.lam == 0.7
    assert learned.objective.psi.slope.shape == (9, 1)
    assert learned.objective.psi.slope_end is not None
    assert learned.objective.phi_inv.library == ("log", "logit", "signed_sqrt")
    assert learned.objective.phi_inv.positive == "exp"
    assert named.objective.beta == 0.3
    assert named.objective.length_normalise
    assert named.objective.phi_inv.alpha == np.float32(1 / 3)
    with jax.enable_x64(True):
        assert mpo.load(FOLDER / "named").objective.phi_inv.alpha == 1 / 3


@pytest.mark.parametrize("name", NUMBERS)
def test_what_is_written_today_could_be_read_then(name, tmp_path):
    """The same schema is the same text, but for the checksum of a file that numpy lays out."""
    with jax.enable_x64(name == "named"):
        kept = mpo.load(FOLDER / name)
        mpo.save(kept.objective, tmp_path / name, kept.provenance)
    then, now = (json.loads((at / f"{name}.json").read_text()) for at in (FOLDER, tmp_path))
    for about in (then, now):
        del about["sha256"], about["arrays"]["sha256"]
    assert now == then
