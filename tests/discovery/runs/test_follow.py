"""A run that is followed from outside: what its folder says while it grows."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import discovery
from discovery.cli import main
from discovery.runs.follow import COMPARING, FINISHED, SEARCHING, SELECTING, STOPPED, follow
from discovery.runs.lines import NUMBERS
from mpo.claim import at_work, locked
from mpo.errors import RequestError
from mpo.log import JsonLog, Log


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    described = discovery.describe("quick", {"search.generations": 3})
    (tmp_path / "config.json").write_text(json.dumps(described.as_json()))
    return tmp_path


def line(generation: int, **more: object) -> dict[str, object]:
    """Return a line of a search's log."""
    measured: dict[str, object] = dict.fromkeys(NUMBERS, 0.5)
    return {"generation": generation, "seconds": 1.0, "split": {}, **measured, **more}


def test_every_generation_comes_once_and_the_end_is_seen(begun: Path) -> None:
    stack, log = ExitStack(), JsonLog(begun / "metrics.jsonl")
    stack.enter_context(locked(begun))
    log.add(line(0))
    returns, went_back = Log(begun / "returns.csv"), line(1, again=True)

    def ended() -> None:
        (begun / "report.md").touch()
        stack.close()

    steps: Iterator[Callable[[], None]] = iter([
        lambda: log.write([json.dumps(line(1)), '{"gener']),
        lambda: log.add(went_back),  # an interruption cut the log, and the run repeats it
        lambda: log.add(line(2)),
        lambda: returns.write(["objective,seed,return", "found,0,0.5"]),
        lambda: returns.write(["found,1,0.5"]),
        ended,
    ])  # fmt: skip
    moments = list(follow(begun, wait=lambda _: next(steps)()))
    assert [line["generation"] for one in moments for line in one.lines] == [0, 1, 2]
    phases = [one.phase for one in moments]
    assert phases == [SEARCHING] * 2 + [SELECTING] + [COMPARING] * 2 + [FINISHED]
    assert [one.compared for one in moments] == [0, 0, 0, 1, 2, 2]


def test_a_killed_run_is_not_waited_for(begun: Path) -> None:
    program = "import sys, os, mpo.claim as c, pathlib; p = pathlib.Path(sys.argv[1])\n"
    program += "with c.locked(p): os.kill(os.getpid(), 9)"
    ended = subprocess.run([sys.executable, "-c", program, str(begun)], check=False)
    assert ended.returncode == -9
    assert [one.phase for one in follow(begun)] == [STOPPED]


def test_a_process_that_lives_on_holds_no_longer(tmp_path: Path) -> None:
    assert not at_work(tmp_path)
    with locked(tmp_path):
        assert at_work(tmp_path)
    assert not at_work(tmp_path)
    with locked(tmp_path):
        pass  # looking keeps nobody out


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="holds no run"):
        next(follow(tmp_path))


def test_the_command_says_with_its_status_whether_the_run_is_finished(
    begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["watch", str(begun), "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {"phase": STOPPED, "compared": 0}
    (begun / "report.md").touch()
    assert main(["watch", str(begun), "--json"]) == 0
