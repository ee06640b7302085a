"""LaTeX that a typesetter takes, with the symbols of the papers."""

import re

import pytest
from matplotlib.mathtext import MathTextParser

import mpo
from llm_transfer.snippets.latex import latex
from mpo.expressions import expression


def _rows(text):
    first, *rows, last = text.splitlines()
    assert (first, last) == (r"\begin{aligned}", r"\end{aligned}")
    assert all(row.endswith(r" \\") for row in rows[:-1])
    return [row.removesuffix(r" \\") for row in rows]


@pytest.mark.sweep
def test_every_row_can_be_typeset(objective):
    parser = MathTextParser("path")
    for row in _rows(latex(expression(objective))):
        assert row.count("{") == row.count("}")
        assert row.count(r"\left") == row.count(r"\right")
        assert row.count(r"\begin{cases}") == row.count(r"\end{cases}")
        # mathtext knows no cases: it is given what stands in them, one after the other.
        bare = re.sub(r"\\left\(\s*(\\begin{cases}.*?\\end{cases})\s*\\right\)", r"\1", row)
        plain = re.sub(r"\\(begin|end){cases}|\\text{[^}]*}\\?:?", " ", bare)
        for part in re.split(r"&|\\\\(?![a-z]{2,}\\left)", plain):
            if part.strip():
                parser.parse(f"${part}$")


def test_orpo_looks_as_in_a_paper():
    loss, *others = _rows(latex(expression(mpo.objective("orpo", lam=0.25))))
    assert loss == (
        r"\mathcal{L} &= - \ell_w - \lambda \log\sigma\left(\operatorname{logit}\left(\ell_w\right)"
        r" - \operatorname{logit}\left(\ell_l\right)\right)"
    )
    assert r"\lambda &= 0.25" in others


def test_a_network_keeps_its_units_apart(small_network):
    text = latex(expression(small_network))
    assert r"\sum_{j=0}^{" in text
    assert r"{w^{\psi,\mathrm{cube}}}_{j}" in text
    assert r"\in \mathbb{R}^{" in text
    assert "psi_" not in text.replace(r"\_", "_").replace(r"\psi", "")
