"""What somebody else registers, in a file outside this tree, goes through every command."""

import json

import pytest

from discovery.cli import main

PLUGIN = """
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

import envs
import mpo
from envs import data
from mpo.policies import MarkovPolicy
from mpo.pytree import pytree
from mpo.settings import Number, number, switch


@envs.register_task
@dataclass(frozen=True)
class Counting(envs.Task):
    \"\"\"Write the number after the last one.\"\"\"

    vocabulary: int = 5
    horizon: int = 4

    name: ClassVar = "counting"
    defaults: ClassVar = envs.Defaults(rows=40, reference="novice", apart=(1.0, 0.5))

    @property
    def policy(self):
        return MarkovPolicy(self.vocabulary, self.horizon)

    def start(self, key):
        return jax.random.randint(key, (), 0, self.vocabulary, jnp.int32)

    def respond(self, params, start, key):
        tokens = self.policy.sample(params, key, start)
        before = jnp.concatenate([start[None], tokens[:-1]])
        right = (tokens == (before + 1) % self.vocabulary).astype(jnp.float32)
        return envs.Response(start, tokens, right / self.horizon, jnp.ones(self.horizon, bool))

    def score(self, params, start, key):
        return self.respond(params, start, key).total

    def agents(self):
        return ("novice", "expert")

    def agent(self, level):
        raised = {"novice": 0.5, "expert": 5.0}[level]
        return raised * jnp.roll(jnp.eye(self.vocabulary), 1, axis=1)


@mpo.register_objective
@pytree
@dataclass(frozen=True, kw_only=True)
class Cautious(mpo.Objective):
    \"\"\"Imitation, and a pull that fades with the margin.\"\"\"

    name: ClassVar = "cautious"
    lam: Number = number(0.5, at_least=0.0, tried=(0.1, 1.0))
    length_normalise: bool = switch(True)

    def loss(self, c, progress):
        return -c.logp[0] + self.lam * jax.nn.softplus(c.logp[-1] - c.logp[0])


@pytree
@dataclass(frozen=True)
class Root(mpo.Potential):
    \"\"\"A power of a probability.\"\"\"

    power: Number = number(0.5, above=0.0)

    @classmethod
    def learned(cls, role, temporal=False):
        return cls()

    def __call__(self, log_x, progress=0.0):
        return jnp.exp(self.power * log_x)


mpo.register_potential("root")(Root.learned)


@data.register_kind("experts_first", judge="perfect")
def experts_first(key, rows, responses):
    \"\"\"An expert against a novice in every other row.\"\"\"
    cast = np.zeros((rows, responses), int)
    cast[::2, 1] = data.recipe.REFERENCE
    return cast
"""

DESCRIBED = {
    "task": {"name": "counting"},
    "data": {"kind": "experts_first"},
    "family": {"potential": "root", "over": ["objective.psi", "descent.learning_rate"]},
    "training": {"hyper": {"updates": 8, "batch": 8, "learning_rate": 0.1}},
    "search": {"population": 4, "generations": 2, "episodes": 4},
    "evaluation": {"against": ["cautious", "orpo"], "seeds": 2, "episodes": 4,
                   "selection_seeds": 1, "tune": True},
}  # fmt: skip


pytestmark = pytest.mark.usefixtures("registries_as_they_were")


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """Return the folder with a stranger's module and description in it."""
    (tmp_path / "theirs.py").write_text(PLUGIN)
    (tmp_path / "mine.json").write_text(json.dumps(DESCRIBED))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def carried_out(*words):
    assert main(["--with", "theirs.py", *map(str, words)]) == 0, words


@pytest.mark.sweep
def test_a_strangers_task_objective_and_data_go_through_every_command(stranger, capsys):
    carried_out("run", "--config", "mine.json", "--out", "run")
    found = json.loads((stranger / "run" / "results.json").read_text())
    assert set(found["returns"]) == {"found", "cautious", "orpo"}
    assert "lam" in found["tuned"]["cautious"]["settings"], "tuned over the range it declares"
    about = json.loads((stranger / "run" / "objective.json").read_text())
    assert about["objective"]["settings"]["psi"]["name"] == "root"
    assert 0 < about["provenance"]["beside"]["descent.learning_rate"] != 0.1
    situation = ("--preset", "mine.json")
    both = ("--objective", "cautious", "--objective", "run")
    carried_out("evaluate", *situation, *both, "--seeds", 2, "--episodes", 2)
    tuned = ("--objective", "cautious", "--seeds", 1, "--episodes", 2, "--out", "tuned.json")
    carried_out("tune", *situation, *tuned)
    carried_out("landscape", "cautious", "run", "--out", "drawn")
    assert (stranger / "drawn" / "landscape.png").stat().st_size > 1000
    for name in ("cautious", "run"):
        carried_out("export", name, "--to", "numpy", "--out", f"{name}.py")
    text = (stranger / "run.py").read_text()
    assert "def psi(" in text, "a potential of theirs is written out under its role"
    carried_out("list")
    assert "counting" in capsys.readouterr().out


def test_without_the_module_the_names_are_unknown(stranger, capsys):
    assert main(["run", "--config", "mine.json", "--set", "data.kind=noisier", "--out", "r"]) == 2
    assert "unknown dataset kind" in capsys.readouterr().err


BARE = """
from dataclasses import dataclass
from typing import ClassVar

import envs
from envs.toy import Reach


@envs.register_task
@dataclass(frozen=True)
class Bare(Reach):
    '''Reach, and nobody who can.'''

    horizon: int = 3
    name: ClassVar = "bare"

    def agents(self):
        return ()
"""


def test_a_task_without_agents_is_trained_on_what_is_written(
    tmp_path, monkeypatch, capsys, registries_as_they_were
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bare.py").write_text(BARE)
    request = ["--with", "bare.py", "train", "--task", "bare", "--algorithm", "rloo", "--quiet"]
    sizes = ["--set=training.hyper.updates=2", "--set=training.hyper.batch=16", "--json"]
    assert main([*request, *sizes]) == 2
    said = capsys.readouterr().err
    assert "task 'bare' has no agents to write data, such as 'expert': name the file" in said
    status = main([*request, *sizes, "--set=training.normalise=false"])
    told = capsys.readouterr()
    assert (status, told.err) == (0, "")
    assert '"task": "bare"' in told.out
