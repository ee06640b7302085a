"""Experiments so small that a cell takes a second: models of scale `test`, few rows."""

import dataclasses
import os

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")

torch = pytest.importorskip("torch", reason="needs the [llm] extra")
transformers = pytest.importorskip("transformers", reason="needs the [llm] extra")


@pytest.fixture(scope="session", autouse=True)
def _quiet():
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """Return a cache that the models of scale `test` are made in once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _own_cache(cache, monkeypatch):
    monkeypatch.setenv("DISCOVERY_CACHE", str(cache))


@pytest.fixture
def settings():
    """Return the settings of a small experiment, as a function of what differs."""
    from llm_transfer.experiment.settings import Settings

    plain = Settings(
        objectives=("orpo", "dpo"),
        seeds=2,
        learning_rate=3e-3,
        rows=48,
        held_out=24,
        scale="test",
        new_tokens=40,
    )
    return lambda **changed: dataclasses.replace(plain, **changed)
