"""Two processes run one discovery: the same numbers, and a lost one ends it with a word."""

import signal
import socket

import pytest

from discovery.host.processes import joined
from mpo.errors import RequestError
from tests.discovery.runs.conftest import numbers
from tests.discovery.runs.test_resume import wait_for

pytestmark = pytest.mark.slow


def cluster():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return f"localhost:{free.getsockname()[1]},2"


@pytest.mark.sweep
def test_two_processes_find_what_one_finds(command, whole, tmp_path):
    address, folder = cluster(), tmp_path / "run"
    both = [command.start(folder, "--cluster", f"{address},{i}", devices=2) for i in (0, 1)]
    said = [process.communicate(timeout=300)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert numbers(folder) == numbers(whole)


@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_process_ends_the_run_and_one_alone_goes_on(command, whole, tmp_path, lost):
    address, folder = cluster(), tmp_path / "run"
    both = [command.start(folder, "--cluster", f"{address},{i}") for i in (0, 1)]
    wait_for(both[0], folder, 1)
    both[lost].kill()
    both[lost].communicate()
    _, said = both[1 - lost].communicate(timeout=120)
    # Waiting for the other it says so itself; at work of its own, JAX's runtime ends it.
    assert both[1 - lost].returncode in (1, -signal.SIGABRT)
    assert "lost the others" in said or "another task died" in said
    assert command.run(folder).returncode == 0
    assert numbers(folder) == numbers(whole)


@pytest.mark.parametrize("address", ["nonsense", "localhost,2,0", "localhost:1,2,2", "h:1,a,0"])
def test_a_cluster_that_cannot_be_is_refused(address):
    with pytest.raises(RequestError), joined(address):
        pass
