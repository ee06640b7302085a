"""Every recipe trains in the trainer it is for, in an environment that is made for it.

An environment is this one with a few packages before its own, kept in the cache; where no index
of packages is reached, its tests are skipped. Sources that are no package are tried where
DISCOVERY_TRAINER_SOURCES, a folder, has checkouts `NeMo-RL` and `LLaMA-Factory` of them.
"""

import json
import os
import shutil
import site
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import llm_transfer
from llm_transfer.snippets.recipes import RECIPES
from mpo.errors import RequestError

pytest.importorskip("trl", reason="needs the [llm] extra")
pytestmark = [pytest.mark.llm, pytest.mark.slow]

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
SOURCES = os.environ.get("DISCOVERY_TRAINER_SOURCES")

# Without their dependencies, which would bring another torch: what is imported is named.
PACKAGES = {
    "trl-oldest": ("trl==1.0.0",),
    "axolotl": (
        "axolotl==0.19.0", "trl==1.9.0", "transformers==5.16.1", "tokenizers==0.23.1",
        "huggingface-hub==1.33.0", "addict==2.4.0", "distro==1.9.0", "evaluate==0.4.6",
        "httpcore==1.0.9", "httpx==0.28.1", "llvmlite==0.50.0", "numba==0.68.1",
        "opentelemetry-api==1.45.2", "opentelemetry-sdk==1.45.2", "posthog==7.91.1",
        "triton==3.9.0", "wandb==0.31.0",
    ),
    "llama-factory": (
        "llamafactory==0.9.5", "trl==0.24.0", "transformers==5.6.0", "tokenizers==0.22.2",
        "huggingface-hub==1.33.0", "peft==0.18.1", "datasets==4.0.0", "accelerate==1.11.0",
        "httpcore==1.0.9", "httpx==0.28.1", "omegaconf==2.4.0",
    ),
    "openrlhf": ("openrlhf==0.11.2", "pylatexenc==2.11"),
    "verl": (
        "verl==0.9.1", "codetiming==1.4.0", "omegaconf==2.4.0", "pyvers==0.2.3", "ray==2.60.0",
        "tensordict==0.15.3", "cloudpickle==3.1.3", "orjson==3.13.0",
    ),
    "liger": ("liger-kernel==0.8.5",),
    "mlx": ("mlx==0.32.4", "mlx-cpu==0.32.4"),
}  # fmt: skip
EMPTY = {"llama-factory": ("torchaudio",)}  # imported first of all, and its wheel wants CUDA
LOSSES = ("orpo", "dpo", "rpo_bwd", "ta_mpo", "dpo_norm", "simpo", "ppo", "reinforce")


def environment(name):
    """Return the Python of an environment, made if it is not there."""
    cache = Path(os.environ.get("DISCOVERY_CACHE", tempfile.gettempdir())) / "trainers"
    folder = cache / f"{name}-{sys.version_info.major}.{sys.version_info.minor}"
    python, asked = folder / "bin" / "python", json.dumps(PACKAGES[name])
    if (folder / "asked").is_file() and (folder / "asked").read_text() == asked:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "base.pth").write_text("\n".join(site.getsitepackages()))
    for module in EMPTY.get(name, ()):
        (packages / f"{module}.py").write_text("")
    install = [str(python), "-m", "pip", "install", "-q", "--no-deps", *PACKAGES[name]]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot install {', '.join(PACKAGES[name])}: {done.stderr.strip()[-200:]}")
    (folder / "asked").write_text(asked)
    return python


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Return a folder with each loss for each trainer that can take it, and rows to train on."""
    from llm_transfer import language

    folder = tmp_path_factory.mktemp("recipes")
    for loss in LOSSES:
        for to in RECIPES:
            try:
                text = llm_transfer.export(loss, to)
            except RequestError:
                continue
            (folder / f"{loss}_{to.replace('-', '_')}.py").write_text(text)
    rows = [
        {**row, "chosen_reward": 1 + 0.1 * n, "rejected_reward": 0.2}
        for n, row in enumerate(language.preferences(24, "train"))
    ]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "model").symlink_to(language.models("test").base)
    return folder


def drive(python, script, *arguments):
    quiet = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "AXOLOTL_DO_NOT_TRACK": "1"}
    path = os.pathsep.join(map(str, (ROOT, HERE)))
    done = subprocess.run(
        [python, HERE / script, *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=900,
        env={**os.environ, **quiet, "PYTHONPATH": path, "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def test_trl_as_it_is_installed(work):
    said = drive(sys.executable, "drive_trl.py", work, work / "model", work / "rows.jsonl")
    assert "trl 1." in said


@pytest.mark.parametrize(
    ("name", "script", "version"),
    [
        ("trl-oldest", "drive_trl.py", "trl 1.0.0"),
        ("axolotl", "drive_axolotl.py", "axolotl 0.19.0 trl 1.9.0"),
        ("llama-factory", "drive_llama_factory.py", "llamafactory 0.9.5 trl 0.24.0"),
        ("openrlhf", "drive_openrlhf.py", "openrlhf 0.11.2"),
        ("verl", "drive_verl.py", "verl 0.9.1"),
        ("liger", "drive_liger.py", "liger-kernel 0.8.5"),
        ("mlx", "drive_mlx.py", "mlx 0.32.4"),
    ],
)
def test_a_trainer_of_its_own_environment(name, script, version, work):
    said = drive(environment(name), script, work, work / "model", work / "rows.jsonl")
    assert version in said


@pytest.mark.parametrize(
    ("script", "checkout"),
    [("drive_nemo_rl.py", "NeMo-RL"), ("drive_llama_factory_v1.py", "LLaMA-Factory/src")],
)
@pytest.mark.parametrize("real", [False, True], ids=["stand-in", "source"])
def test_a_trainer_that_is_no_package(script, checkout, real, work):
    if not real:
        assert "stand-in" in drive(sys.executable, script, work)
        return
    if SOURCES is None or not (Path(SOURCES) / checkout).is_dir():
        pytest.skip("DISCOVERY_TRAINER_SOURCES has no checkout of it")
    python = environment("llama-factory")  # both want an older transformers
    assert "its own source" in drive(python, script, work, Path(SOURCES) / checkout)
