"""A discovery small enough to run whole in a test: the toy task, six members, four generations."""

from typing import Any

import pytest

from discovery import config

TINY: dict[str, Any] = {
    "about": "a discovery in a test",
    "task": {"name": "reach"},
    "data": {"kind": "shuffled", "rows": 48},
    "training": {"hyper": {"updates": 20, "batch": 8, "learning_rate": 0.03}},
    "search": {"population": 6, "generations": 4, "episodes": 4},
    "evaluation": {"against": ["orpo", "sft"], "seeds": 3, "episodes": 4, "selection_seeds": 2},
}


@pytest.fixture(scope="session")
def datasets(tmp_path_factory):
    """Return a cache folder that all tests of a session share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _own_cache(datasets, monkeypatch):
    monkeypatch.setenv("DISCOVERY_CACHE", str(datasets))


@pytest.fixture
def tiny():
    return config.from_json(TINY)
