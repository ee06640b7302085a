"""JAX, LaTeX and JSON are exported where PyTorch is not installed."""

import subprocess
import sys

import pytest

CODE = """
import sys

import pytest
sys.modules["torch"] = None
from discovery.cli import main
sys.exit(any(main(["export", "orpo", "--to", to]) for to in ("jax", "latex", "json")))
"""


@pytest.mark.sweep
def test_exporting_to_other_languages_needs_no_torch():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "import jax" in done.stdout
    assert r"\begin{aligned}" in done.stdout
    assert '"kind": "formula"' in done.stdout
