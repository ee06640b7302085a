"""The Python of the README runs as it stands there."""

import re
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[1] / "README.md"


def test_the_examples_run_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DISCOVERY_CACHE", str(tmp_path))
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) == 3
    exec(compile("\n".join(blocks), "README.md", "exec"), {})
    earned, finite = capsys.readouterr().out.split()
    assert finite == "True"
    assert float(earned) > 0.4  # the agent it started from earns 0.03
