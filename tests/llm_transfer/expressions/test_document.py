"""JSON that comes back as the formula it was, or is refused; nothing in it is executed."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mpo
from mpo.errors import RequestError
from mpo.expressions import Expression, expression, from_json, resolve, to_json
from mpo.expressions.parsing import read
from mpo.objectives import MPO, OBJECTIVES
from mpo.potentials import BasisPotential, NetworkPotential
from mpo.potentials.basis import FUNCTIONS


def _mpo():
    weights = {name: 0.1 * (1 + n) for n, name in enumerate(FUNCTIONS)}
    basis = BasisPotential.of(weights, library=tuple(FUNCTIONS), temporal=True)
    network = NetworkPotential.orpo("phi_inv", 18, temporal=True)
    import jax

    return MPO(psi=basis, phi_inv=jax.tree.map(lambda leaf: leaf + 0.25, network))


@pytest.mark.parametrize("name", [n for n, kind in OBJECTIVES.items() if not kind.whole])
@pytest.mark.sweep
def test_every_objective_comes_back_as_it_was(name):
    formula = resolve(name)
    assert from_json(to_json(formula, {"note": "…"})) == formula


def test_networks_come_back_as_they_were():
    formula = expression(_mpo())
    assert from_json(to_json(formula)) == formula


def test_a_file_names_its_formula(tmp_path):
    file = tmp_path / "orpo.json"
    file.write_text(to_json(resolve("orpo")))
    assert resolve(file) == resolve(str(file)) == resolve("orpo")
    file.write_text(to_json(resolve("orpo")).replace('"schema": 1', '"schema": 2'))
    with pytest.raises(RequestError, match=r"orpo\.json: the formula has schema 2, and this"):
        resolve(file)
    mpo.save(mpo.objective("orpo"), file)
    assert resolve(file) == resolve("orpo")  # an artifact, not a formula


def _changed(**changes):
    about = json.loads(to_json(resolve("orpo")))
    for path, value in changes.items():
        node = about
        *parents, last = path.split("__")
        for key in parents:
            node = node[int(key) if key.isdigit() else key]
        node[int(last) if last.isdigit() else last] = value
    return json.dumps(about)


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "objective"},
        {"schema": 2},
        {"schema": "1"},
        {"name": None},
        {"name": "two\nlines"},
        {"summary": ["no", "text"]},
        {"inputs": ["logp_w", "logp_l", "os"]},
        {"inputs": ["logp_l", "logp_w", "len_w", "len_l"]},
        {"normalise": "mean"},
        {"constants": {"lam = __import__('os')": 1.0}},
        {"constants": {"lam": "1.0"}},
        {"constants": {"lam": float("nan")}},
        {"constants": {"lambda": 1.0}},
        {"constants": {}},
        {"constants": []},
        {"definitions": {}},
        {"definitions__0__name": "log odds"},
        {"definitions__0__parameters": ["log_x)", "y"]},
        {"definitions__0__summary": "a comment\nimport os"},
        {"definitions__0__parts": [["below; import os", "log_x"]]},
        {"definitions__0__value": "other_function(log_x)"},
        {"definitions__0__value": "log_x +"},
        {"definitions__0__value": 3},
        {"loss": {}},
        {"loss__value": "__import__('os').system('true')"},
        {"loss__value": "().__class__"},
        {"loss__value": "[lam for lam in (1,)]"},
        {"loss__value": "lambda: 1"},
        {"loss__value": "lam if lam else 1"},
        {"loss__value": "unknown + 1"},
        {"loss__value": "lam ** 1000"},
        {"loss__value": "lam @ lam"},
        {"loss__value": "'text'"},
        {"loss__value": "exp(lam, lam, lam)"},
        {"loss__value": "lam[j]"},
        {"loss__value": "Sum(lam[j], (j, 0, 0))"},
        {"loss__value": "(" * 5000 + "lam" + ")" * 5000},
    ],
    ids=lambda changes: " ".join(f"{k}={str(v)[:30]!r}" for k, v in changes.items()),
)
@pytest.mark.sweep
def test_what_is_no_formula_is_refused_in_a_line(changes):
    with pytest.raises(RequestError) as refused:
        from_json(_changed(**changes))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", '{"kind": "formula"}', "[" * 100_000])
def test_what_is_no_json_of_ours_is_refused(text):
    with pytest.raises(RequestError):
        from_json(text)


@pytest.mark.parametrize(
    "tower",
    [
        "9**16**16",
        "((((9**16)**16)**16)**16)**16",
        "exp(exp(exp(exp(exp(9.0)))))",
        "Min(exp(exp(exp(exp(exp(9))))), x)",
        "exp(1e400)",
    ],
)
def test_numbers_too_large_to_compute_are_refused_at_once(tower):
    start = time.perf_counter()
    with pytest.raises(RequestError, match=r"number|power"):
        read(tower, ["x"], [])
    assert time.perf_counter() - start < 5


def test_a_sum_is_over_all_units():
    about = json.loads(to_json(expression(_mpo())))
    name = next(name for name, value in about["constants"].items() if isinstance(value, list))
    about["constants"][name].pop()
    with pytest.raises(RequestError, match=f"a sum is not over all of {name}"):
        from_json(json.dumps(about))


TEXT = to_json(resolve("orpo"))


@settings(max_examples=150)
@given(st.integers(0, len(TEXT) - 1), st.integers(0, 12), st.text(max_size=6))
@pytest.mark.sweep
def test_any_damage_is_refused_or_another_formula(at, length, other):
    try:
        found = from_json(TEXT[:at] + other + TEXT[at + length :])
    except RequestError:
        return
    assert isinstance(found, Expression)
