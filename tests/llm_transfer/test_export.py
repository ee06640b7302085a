"""`llm_transfer.export` and `discovery export`, from a name or a run to a file."""

import ast
import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec

import jax
import numpy as np
import pytest

import llm_transfer
import mpo
from discovery.cli import main
from llm_transfer.snippets import parity
from llm_transfer.snippets.exporting import TARGETS, exported
from llm_transfer.snippets.function import execute
from llm_transfer.snippets.printers import ArrayPrinter
from llm_transfer.snippets.recipes import RECIPES
from mpo.errors import RequestError
from mpo.expressions import from_json, resolve
from mpo.objectives import MPO
from mpo.potentials import BasisPotential, NetworkPotential

pytest.importorskip("torch", reason="needs the [llm] extra")
pytestmark = pytest.mark.llm

LANGUAGES = [to for to in TARGETS if to not in RECIPES and (to != "mlx" or find_spec("mlx"))]


@pytest.fixture
def command(capsys):
    """Run `discovery export …`; return exit status, stdout, and stderr without what it does."""

    def run(*arguments):
        status = main(["export", *map(str, arguments)])
        said = capsys.readouterr()
        return status, said.out, said.err.removeprefix(f"writing {arguments[0]}, and comparing\n")

    return run


@pytest.fixture
def run_folder(tmp_path):
    """Return the folder of a run that found something."""
    found = MPO(
        psi=BasisPotential.of({"log": 0.3, "x": 0.75}, temporal=True),
        phi_inv=BasisPotential.of({"logit": 1.2, "signed_sqrt": 2.0}),
    )
    (tmp_path / "run").mkdir()
    about = mpo.Provenance(versions={}, task="token_bandit", seed=3, generations=24, commit="abc12")
    mpo.save(found, tmp_path / "run" / "objective", about)
    return tmp_path / "run"


def test_the_header_tells_all_there_is_to_know():
    text = llm_transfer.export("dpo", beta=0.25)
    head, _, program = text.partition("\n\nimport torch")
    assert all(line.startswith("#") for line in head.splitlines())
    words = " ".join(head.replace("#", " ").split())
    assert "from mpo.objective('dpo', beta=0.25), by preference-discovery" in words
    assert "used as a sum" in words
    assert "under the reference policy are needed" in words
    assert "from -10,000 to 10" in words
    assert "-inf is read as -10,000" in words
    results = re.findall(r"(float\d\d): values to (\S+), gradients to (\S+)", head)
    assert [name for name, *_ in results] == ["float64", "float32"]
    for (_, *errors), most in zip(results, (1e-12, 1e-5), strict=True):
        assert all(float(error) <= most for error in errors)
    assert "beta = 0.25" in program


def test_normalisation_reference_and_time_are_those_of_the_objective(run_folder):
    text = llm_transfer.export(run_folder)
    words = " ".join(text.replace("#", " ").split())
    assert "the loss divides by their number" in words
    assert "reference none is needed" in words
    assert "(task token_bandit, seed 3, generations 24, commit abc12)" in words
    assert text.isascii() is False  # π and ψ, as in the papers: files are UTF-8


def test_a_run_is_short_and_to_the_point(run_folder):
    text = llm_transfer.export(run_folder)
    assert "progress" not in text  # nothing changes in the course of training
    assert "return 0.3 * log_x + 0.75 * probability(log_x)" in text
    assert "return 1.2 * log_odds(log_x) + 2 * signed_sqrt(log_x)" in text
    assert len(ast.unparse(ast.parse(text)).splitlines()) < 55


@pytest.mark.parametrize("to", LANGUAGES)
@pytest.mark.sweep
def test_every_language_gives_the_loss_and_its_proof(to, run_folder):
    found = exported(run_folder, to)
    precisions = ["float32"] if to == "mlx" else ["float64", "float32"]
    assert [one.precision for one in found.parity] == precisions
    assert found.text.endswith("\n")
    assert "e-" in found.text or "0.0" in found.text
    if to in ("torch", "jax"):
        assert execute(found.text).__doc__.startswith("Return the loss of pairs")
    if to == "json":
        assert from_json(found.text) == resolve(run_folder)
        notes = json.loads(found.text)["provenance"]
        assert notes["parity"]["results"][0]["precision"] == "float64"
        assert "token_bandit" in notes["from"]


def test_json_can_be_exported_again(tmp_path):
    file = tmp_path / "formula.json"
    file.write_text(llm_transfer.export("wdpo", to="json"))
    text = llm_transfer.export(file)
    assert "the formula of wdpo in" in text
    assert "with the same formula in JAX" in " ".join(text.replace("#", " ").split())
    once, again = (execute(llm_transfer.export(one, "jax")) for one in ("wdpo", file))
    given = [np.float32(x) for x in (-3, -5, -4, -4.5, 1, 0.5)]
    assert once(*given) == again(*given)


@pytest.mark.sweep
def test_a_network_is_proven_as_a_reader_of_its_json_gets_it():
    start = {role: NetworkPotential.orpo(role, 9) for role in ("psi", "phi_inv")}
    objective = MPO(**jax.tree.map(lambda leaf: leaf + 0.25, start))
    text = llm_transfer.export(objective, "json")
    assert from_json(text) == resolve(objective)
    assert json.loads(text)["provenance"]["from"] == "an objective of kind MPO"


@pytest.mark.parametrize("to", LANGUAGES)
def test_a_printer_that_errs_gives_no_text(to, monkeypatch, command, tmp_path):
    right = ArrayPrinter._print_Pow
    monkeypatch.setattr(ArrayPrinter, "_print_Pow", lambda self, e: right(self, e) + " * 1.00001")
    with pytest.raises(parity.ParityError, match="off by"):
        llm_transfer.export("ipo", to)
    status, said, errors = command("ipo", "--to", to, "--out", tmp_path / "loss.py")
    assert (status, said) == (1, "")
    assert errors.count("\n") == 1
    assert "does not compute its objective in float64" in errors
    assert not list(tmp_path.iterdir())


def test_without_torch_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        RequestError, match=r"needs torch: pip install 'preference-discovery\[llm\]"
    ):
        llm_transfer.export("dpo")


def test_the_command_prints_what_the_function_returns(command):
    assert command("orpo", "--to", "jax") == (0, llm_transfer.export("orpo", "jax"), "")


def test_the_command_writes_a_file_and_replaces_what_was_there(command, tmp_path):
    out = tmp_path / "loss.py"
    out.write_text("what was there")
    status, said, errors = command("dpo", "--set", "beta=0.5", "--out", out)
    assert (status, errors) == (0, "")
    assert said.startswith(f"{out}: dpo, equal to its objective in float64 to ")
    assert out.read_text() == llm_transfer.export("dpo", beta=0.5)
    assert list(tmp_path.iterdir()) == [out]


def test_json_of_the_command(command, tmp_path):
    status, said, _ = command("sft", "--to", "latex", "--json")
    found = json.loads(said)
    assert status == 0
    assert found["text"] == llm_transfer.export("sft", "latex")
    assert found["parity"][0]["value"] <= 1e-12
    _, said, _ = command("sft", "--to", "latex", "--json", "--out", tmp_path / "sft.tex")
    assert json.loads(said) == {
        **{name: value for name, value in found.items() if name != "text"},
        "file": str(tmp_path / "sft.tex"),
    }


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (["opro"], "'orpo'"),
        (
            ["orpo", "--to", "tensorflow"],
            "known are axolotl, chunked, jax, json, latex, liger, llama-factory",
        ),
        (["dpo", "--set", "beta=-1"], "must be > 0"),
        (["dpo", "--set", "gamma=1"], "unknown setting of objective 'dpo'"),
        (["dpo", "--set", "beta"], "key=value"),
        (["./no/such/run"], "no objective at"),
        (["found/nothing"], "unknown objective"),
        (["dpo", "--out", "{}"], "it is a folder"),
        (["dpo", "--out", "{}/missing/loss.py"], "there is no folder"),
        (["sft", "--to", "jax", "--out", "{}/" + 300 * "x"], "cannot write"),
    ],
)
def test_a_wrong_request_is_one_line_and_status_2(command, tmp_path, request_, message):
    status, said, errors = command(*(word.format(tmp_path) for word in request_))
    assert (status, said) == (2, "")
    assert message in errors
    assert errors.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_damaged_files_are_refused(command, run_folder, tmp_path):
    file = tmp_path / "formula.json"
    file.write_text(llm_transfer.export("sft", to="json").replace("-logp_w", "-open('x')"))
    status, _, errors = command(file)
    assert status == 2
    assert "no formula" in errors
    (run_folder / "objective.npz").write_bytes(b"")
    status, _, errors = command(run_folder)
    assert status == 2
    assert "objective.npz" in errors


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to(command, tmp_path):
    tmp_path.chmod(0o500)
    status, said, errors = command("sft", "--to", "jax", "--out", tmp_path / "loss.py")
    assert (status, said) == (2, "")
    assert "Permission denied" in errors


@pytest.mark.sweep
def test_the_command_is_known_and_light():
    code = (
        "import sys; from discovery.cli.app import app; "
        "assert 'export' in [one.name for one in app.registered_commands]; "
        "print(sorted({'torch', 'sympy', 'trl'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
