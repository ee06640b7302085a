"""Every benchmark runs at its smallest size and times what it says; no time is asserted."""

import dataclasses
import json
import math
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
import mpo
from benchmarks import (
    acting,
    generations,
    gpu,
    language_model,
    measuring,
    objectives,
    processes,
    pytorch,
    report,
    training,
)
from benchmarks.measuring import Skipped, Table, number, turns
from benchmarks.workload import ACCELERATORS, FILLING, QUICK, Setting, Workload, arrays
from discovery.cli import bench, main
from envs.physics import PhysicsTask, Start
from mpo.errors import RequestError
from mpo.train import train

TOY = Setting(
    task="reach",
    synthetic=True,
    rows=12,
    segment=5,
    batch=4,
    updates=3,
    agents=3,
    sizes=(3,),
    objectives=("orpo",),
    rollouts=((3,), (2, 2)),
    measured=(2, 2),
    steps=4,
    population=4,
    generations=2,
    training=3,
    episodes=2,
    populations=(1, 3),
    row_counts=(12, 24),
    processes=((4, 12), (4, 24)),
    rounds=2,
)
HOPPER = dataclasses.replace(TOY, task="hopper", horizon=6, rollouts=((2,),), rounds=1)


@pytest.fixture(scope="module")
def work():
    return Workload(TOY)


@pytest.fixture(scope="module")
def hopper():
    return Workload(HOPPER)


SMOKE = [
    pytest.param("work", "train"),
    pytest.param("work", "ways"),
    pytest.param("work", "generation"),
    pytest.param("work", "torch", marks=[pytest.mark.llm, pytest.mark.slow]),
    pytest.param("work", "forward_only", marks=[pytest.mark.llm, pytest.mark.slow]),
    pytest.param("work", "chunked", marks=[pytest.mark.llm, pytest.mark.slow]),
    pytest.param("work", "growth", marks=pytest.mark.slow),
    pytest.param("work", "memory", marks=pytest.mark.slow),
    pytest.param("work", "slopes", marks=pytest.mark.slow),
    pytest.param("work", "compile", marks=pytest.mark.slow),
    pytest.param("hopper", "rollouts", marks=pytest.mark.slow),
    pytest.param("hopper", "evosax", marks=pytest.mark.slow),
    pytest.param("hopper", "regimes", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("where", "part"), SMOKE)
@pytest.mark.sweep
def test_a_part_measures_finite_numbers(where, part, request):
    table = report.PARTS[part].measure(request.getfixturevalue(where))
    assert table.about
    assert table.rows
    for row in table.rows.values():
        assert row
        assert all(math.isfinite(value) and value >= 0 for value in row.values())
    json.dumps(table.as_json(), allow_nan=False)
    assert len(table.cells()) == len(table.rows)


def test_every_part_is_smoked_or_needs_days():
    assert {one.values[1] for one in SMOKE} == set(report.PARTS) - {"paper"}


# --- the script for a GPU loses nothing but what failed ---------------------------------------


def test_a_part_for_the_gpu_that_fails_is_named_with_its_reason(monkeypatch):
    monkeypatch.setattr(gpu, "PLAN", dict.fromkeys(("works", "fails"), gpu.PLAN["train"]))
    found = {"about": "", "rows": {"a": {"s": 1.0}}, "notes": [], "machine": {"line": "here"}}
    answers = {"works": (dict(found), ""), "fails": (None, "exit status 1: out of memory")}
    monkeypatch.setattr(gpu, "apart", lambda name, **rest: answers[name])
    report = gpu.measure(1.0)
    assert report["parts"]["works"]["rows"] == found["rows"]
    assert report["skipped"] == {"fails": "exit status 1: out of memory"}
    assert report["machine"] == {"line": "here"}


def test_nothing_starts_when_the_time_for_the_gpu_is_over():
    report = gpu.measure(0.0)
    assert set(report["skipped"]) == set(gpu.PLAN)
    assert report["parts"] == {}


def test_a_process_that_fails_or_hangs_costs_its_part_only(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert gpu.apart("train", toy=True, limit=60.0) == (None, "exit status 1: ")
    hanging = tmp_path / "hanging"
    hanging.write_text("#!/bin/sh\nexec sleep 60\n")
    hanging.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(hanging))
    assert gpu.apart("train", toy=True, limit=0.2)[0] is None


@pytest.mark.slow
def test_a_part_for_the_gpu_runs_in_a_process_of_its_own():
    found, reason = gpu.apart("train", toy=True, limit=300.0)
    assert found is not None, reason
    assert all(row["agents/s"] > 0 for row in found["rows"].values())


# --- what is timed is what it says ------------------------------------------------------------


def test_candidates_take_turns_and_the_first_call_does_not_count():
    log = []

    def call(name, seconds):
        later = iter(seconds)

        def one():
            log.append(name)
            return next(later)

        return one

    calls = {"a": call("a", [9.0, 3.0, 1.0, 2.0]), "b": call("b", [1.0, 4.0, 4.0, 5.0])}
    timings = turns(calls, rounds=3)
    assert log == ["a", "b"] * 4
    assert dataclasses.astuple(timings["a"]) == (8.0, 1.0, 2.0)
    assert dataclasses.astuple(timings["b"]) == (0.0, 4.0, 4.0)


def test_random_arrays_have_the_shapes_of_a_dataset():
    made, real = arrays(envs.task("reach"), 6), envs.data.make("reach", "shuffled", rows=6)
    for name in ("inputs", "outputs", "length"):
        assert getattr(made, name).shape == getattr(real, name).shape
        assert getattr(made, name).dtype == getattr(real, name).dtype


@pytest.mark.parametrize("way", ["map", "vmap", "chunks"])
@pytest.mark.sweep
def test_the_agents_of_the_benchmark_are_those_of_the_inner_loop(way, work):
    orpo, ground = mpo.objective("orpo"), work.situation
    program, members, shared = training.agents(ground, orpo, 2, work.lone, way)
    params, metrics = program(members, *shared)
    assert np.all(np.asarray(metrics.updates) == TOY.updates)
    for number_, key in enumerate(jax.random.split(jax.random.key(0), 2)):
        alone, _ = train(orpo, ground.sources[0], ground.task.policy, key, ground.descent)
        for mine, its in zip(jax.tree.leaves(params), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(mine[number_], its, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("task", ["reach", "token_bandit"])
@pytest.mark.sweep
def test_the_bare_gradient_is_that_of_the_log_likelihood(task):
    """After three steps of 1e-6 the parameters have moved by three gradients, nearly."""
    work = Workload(dataclasses.replace(TOY, task=task, rows=20))
    program, members = training.bare_gradients(work, 2, work.lone)
    policy, batch = work.task.policy, work.situation.sources[0].batch(jnp.arange(TOY.batch))

    def loss(params):
        each = jax.vmap(jax.vmap(lambda x, y: policy.log_prob(params, x, y)))
        return -jnp.mean(each(batch.inputs, batch.outputs))

    start = policy.init(jax.random.key(0))
    expected = jax.tree.map(lambda p, g: p - 3e-6 * g, start, jax.grad(loss)(start))
    for moved, its in zip(
        jax.tree.leaves(program(members)), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_allclose(moved[1], its, rtol=1e-5, atol=2e-8)


def test_shares_of_a_generation_sum_to_one_and_the_rest_is_the_hosts():
    laps = [
        {"split": {"ask": 0.1, "train": 2.0, "score": 1.0, "tell": 0.1}},
        {"split": {"ask": 0.1, "train": 4.0, "score": 1.0, "tell": 0.3}},
    ]
    rows = generations.shares([4.0, 6.0], laps, agents=6, steps=600)
    *parts, whole = rows.values()
    assert sum(row["s"] for row in parts) == pytest.approx(whole["s"])
    assert sum(row["share"] for row in parts) == pytest.approx(1.0)
    assert rows["host"]["s"] == pytest.approx(0.7)
    assert whole == pytest.approx({"s": 5.0, "share": 1.0, "agents/s": 1.2, "env steps/s": 120.0})


@pytest.mark.parametrize("task", generations.PAPER)
def test_a_generation_of_the_papers_size_is_its_preset(task):
    described = generations.of_paper(task)
    assert described.task.name == task
    assert (described.search.population, described.search.episodes) == (256, 100)
    assert described.search.generations == 2


@pytest.mark.slow
def test_returns_are_those_of_responses_and_physics_is_the_simulators():
    task = envs.task("hopper", horizon=3)
    assert isinstance(task, PhysicsTask)
    programs = acting.candidates(task, (2, 2))
    results = {name: jax.jit(one)(*args) for name, (one, args) in programs.items()}
    np.testing.assert_allclose(results["returns"], results["responses"].total, rtol=1e-5)
    starts, actions = programs["bare brax"][1]
    state = task.begin(Start(starts.q[0, 1], starts.qd[0, 1]))
    for _ in range(3):
        state = task.simulator.step(state, actions[0, 1])
    np.testing.assert_allclose(results["bare brax"][0, 1], state.q, rtol=1e-4, atol=1e-5)


@pytest.mark.llm
@pytest.mark.slow
def test_pytorch_trains_the_very_agent_that_is_trained_here(work, tmp_path):
    loop = pytorch.Loop(tmp_path)
    loop.write(work)
    assert loop.train() > 0
    program, members, shared = training.agents(work.situation, mpo.objective("orpo"), 1, work.lone)
    assert loop.difference(program(members, *shared)[0]) < 1e-5
    other = work.task.policy.init(jax.random.key(9))
    assert loop.difference(jax.tree.map(lambda leaf: leaf[None], other)) > 1e-3


@pytest.mark.parametrize(
    ("part", "task", "reason"),
    [
        ("rollouts", "reach", "no physics"),
        ("evosax", "reach", "no environment 'reach'"),
        ("paper", "reach", "no preset"),
        ("torch", "token_bandit", "Gaussian"),
    ],
)
def test_a_part_that_a_task_does_not_have_is_skipped(part, task, reason):
    work = Workload(dataclasses.replace(TOY, task=task, rows=20))
    with pytest.raises(Skipped, match=reason):
        report.PARTS[part].measure(work)


@pytest.mark.sweep
def test_a_process_that_fails_says_why():
    with pytest.raises(RuntimeError, match="unknown task 'reachh'"):
        processes.started(dataclasses.replace(TOY, task="reachh"))


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
def test_a_peak_is_seen_and_forgotten():
    def peak():
        return measuring.peak_memory() or 0.0

    measuring.forget_peak()
    before = peak()
    np.ones(30_000_000).sum()
    assert peak() > before + 200e6
    measuring.forget_peak()
    assert peak() < before + 100e6


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.00"), (1.0, "1.00"), (9.999, "10.0"), (35_812.3, "35,812"), (0.00123, "0.00123")],
)
def test_numbers_have_three_digits_that_count(value, text):
    assert number(value) == text


# --- the command ------------------------------------------------------------------------------


def test_parts_are_chosen_by_name_or_by_what_fits():
    usual = tuple(name for name, part in report.PARTS.items() if part.always)
    with_paper = tuple(name for name in report.PARTS if name in {*usual, "paper"})
    assert report.chosen([], "cpu", quick=False, paper=False) == usual
    assert report.chosen([], "cpu", quick=False, paper=True) == with_paper
    for platform in ACCELERATORS:
        assert report.chosen([], platform, quick=False, paper=False) == with_paper
        assert Setting().on(platform) == Setting(**FILLING)
    assert "paper" not in report.chosen([], "gpu", quick=True, paper=False)
    assert report.chosen(["memory", "train"], "gpu", quick=True, paper=False) == (
        "train",
        "memory",
    )


@pytest.fixture
def stand_ins(monkeypatch):
    """Put parts in place that take no time; return the settings they were given."""
    seen = []

    def measured(work):
        seen.append(work.setting)
        return Table("a part", {"one": {"s": 1.0}, "two": {"s": 2.0, "share": 0.5}}, ("noted",))

    def unable(work):
        raise Skipped("not here")

    parts = {"train": report.Part(measured), "torch": report.Part(unable)}
    monkeypatch.setattr(report, "PARTS", parts)
    return seen


def test_the_command_prints_tables_and_reasons(stand_ins, capsys):
    assert main(["bench", "--task", "reach", "--quick"]) == 0
    said = capsys.readouterr()
    assert "train: a part" in said.out
    assert "noted" in said.out
    assert "torch: not measured, not here" in said.out
    assert stand_ins == [Setting(**{**QUICK, "task": "reach"})]


def test_the_command_prints_json(stand_ins, capsys):
    assert main(["bench", "--synthetic", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert set(printed) == {"schema", "machine", "setting", "parts", "skipped", "seconds"}
    assert printed["parts"]["train"]["rows"]["two"] == {"s": 2.0, "share": 0.5}
    assert printed["skipped"] == {"torch": "not here"}
    assert Setting.from_json(printed["setting"]) == stand_ins[0]
    assert stand_ins[0].synthetic


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["--parts", "trains"], "'train'"), (["--task", "hoper"], "'hopper'")],
)
def test_a_wrong_request_is_status_2(arguments, says, capsys):
    assert main(["bench", "--quick", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_without_the_source_the_command_says_how_to_get_it(tmp_path):
    with pytest.raises(RequestError, match="source"):
        bench.find_benchmarks(tmp_path)


# --- benchmarks of their own ------------------------------------------------------------------


@pytest.fixture
def printed(monkeypatch, capsys):
    """Return what a benchmark prints as JSON, as a function of the module and its arguments."""

    def run(module, *arguments):
        monkeypatch.setattr(sys, "argv", [module.__name__, "--json", *arguments])
        module.main()
        return json.loads(capsys.readouterr().out)

    return run


@pytest.mark.sweep
def test_objectives(printed, monkeypatch):
    monkeypatch.setattr(objectives, "NAMES", ("dpo", "orpo"))
    learned = "mpo: basis, 8 functions"
    monkeypatch.setattr(objectives, "LEARNED", {learned: objectives.LEARNED[learned]})
    found = printed(objectives, "--rounds", "1")
    assert list(found["rows"]) == ["dpo", "orpo", learned, "policy gradient"]
    assert found["rows"]["dpo"]["x dpo"] == 1.0
    assert all(row["ns per comparison"] > 0 for row in found["rows"].values())


@pytest.mark.llm
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.filterwarnings("ignore:.(is_)?gradient_checkpointing. is deprecated:FutureWarning")
def test_language_model(printed, monkeypatch):
    for package in ("torch", "trl"):
        pytest.importorskip(package, reason="needs the [llm] extra")
    name = "PreferenceTrainer, orpo"
    found = language_model.one(language_model.TRAINERS[name], language_model.SMALL, steps=1)
    assert found["seconds"] > 0
    keys = [f"{one}, 106 words" for one in ("DPOTrainer (TRL)", name)]
    monkeypatch.setattr(language_model, "measure", lambda *_: dict.fromkeys(keys, found))
    rows = printed(language_model)
    assert list(rows) == keys
    assert rows[keys[1]]["x DPOTrainer"] == 1.0


@pytest.mark.slow
def test_forward_passes_hold_a_fraction_of_what_a_gradient_does(work):
    rows = report.PARTS["slopes"].measure(work).rows
    few, _, more = next(iter(rows.values()))
    forward, gradient = rows["forward pass alone"], rows["gradient, Adam"]
    for name in ("two forward passes", "two forward passes, guided"):
        assert rows[name][few] < 0.35 * gradient[few]
        assert rows[name][more] < 1.25 * forward[more]
