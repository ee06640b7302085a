"""The benchmark: it times what it says, and its figures fit together; no time is asserted."""

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
from discovery import bench
from discovery.bench import (
    against_evosax,
    against_torch,
    child,
    compiling,
    generation,
    growth,
    machine,
    memory,
    report,
    rollouts,
    training,
)
from discovery.bench.setting import FILLING, QUICK, Setting
from discovery.bench.table import Skipped, Table, number
from discovery.bench.timing import timed, turns
from discovery.bench.workload import Workload, arrays
from discovery.cli import main
from envs.physics import PhysicsTask, Start
from mpo.errors import RequestError
from mpo.train import population, train

TOY = Setting(
    task="reach",
    synthetic=True,
    rows=12,
    segment=5,
    batch=4,
    updates=3,
    agents=3,
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


@pytest.fixture(scope="module")
def work():
    return Workload(TOY)


def positive(table):
    """Check what holds of every table, and return it."""
    assert table.rows
    assert table.about
    for row in table.rows.values():
        assert all(math.isfinite(value) and value >= 0 for value in row.values())
    json.dumps(table.as_json(), allow_nan=False)
    return table


# --- timing -----------------------------------------------------------------------------------


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


def test_a_timed_call_waits_for_its_results():
    seen = []

    def note(x):
        seen.append(x)
        return x

    call = timed(jax.jit(lambda x: jnp.sum(jax.pure_callback(note, x, x))), jnp.ones(3))
    assert call() > 0
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.00"), (1.0, "1.00"), (9.999, "10.0"), (35_812.3, "35,812"), (0.00123, "0.00123")],
)
def test_numbers_have_three_digits_that_count(value, text):
    assert number(value) == text


def test_a_table_leaves_cells_empty_that_a_row_does_not_have():
    table = Table("", {"x": {"a": 1.0}, "y": {"a": 2.0, "b": 3.0}})
    assert table.columns() == ("a", "b")
    assert table.cells() == [("x", "1.00", ""), ("y", "2.00", "3.00")]


# --- what is measured on ----------------------------------------------------------------------


def test_a_setting_survives_json():
    assert Setting.from_json(json.loads(json.dumps(TOY.as_json()))) == TOY


def test_other_sizes_are_settings():
    assert Setting(**QUICK).synthetic
    assert Setting().on("cpu") == Setting()
    assert Setting().on("gpu") == Setting(**FILLING)


def test_random_arrays_have_the_shapes_of_a_dataset():
    task = envs.task("reach")
    made, real = arrays(task, 6), envs.data.make("reach", "shuffled", rows=6)
    for name in ("inputs", "outputs", "length"):
        assert getattr(made, name).shape == getattr(real, name).shape
        assert getattr(made, name).dtype == getattr(real, name).dtype


def test_a_generated_dataset_is_used_unless_random_arrays_are_asked_for(work):
    real = Workload(dataclasses.replace(TOY, synthetic=False))
    sources = [each.situation.sources[0] for each in (work, real)]
    assert sources[0].size == sources[1].size == TOY.rows * 2
    assert sources[0].reward is None
    assert sources[1].reward is not None


def test_tokens_are_measured_whole():
    tokens = Workload(dataclasses.replace(TOY, task="token_bandit", rows=20))
    assert tokens.segment is None
    assert tokens.samples == TOY.updates * TOY.batch * 2 * tokens.task.horizon


# --- the parts --------------------------------------------------------------------------------


def test_training_is_held_by_the_bare_gradient_of_as_many_agents(work):
    table = positive(training.measure(work))
    assert work.samples == 3 * 4 * 2 * 5
    bare, orpo = (
        [row for name, row in table.rows.items() if name.startswith(start)]
        for start in ("bare", "orpo")
    )
    assert [row["of bare"] for row in bare] == [1.0, 1.0]
    for own, its_bare in zip(orpo, bare, strict=True):
        assert own["of bare"] == pytest.approx(own["agents/s"] / its_bare["agents/s"])
    for row in table.rows.values():
        assert row["M samples/s"] == pytest.approx(row["agents/s"] * work.samples / 1e6)


@pytest.mark.slow
def test_every_objective_of_the_benchmark_can_be_trained(work):
    assert set(Setting().objectives) == set(training.OBJECTIVES)
    for make in training.OBJECTIVES.values():
        program, members, shared = training.agents(work.situation, make(), 2, work.lone)
        _, metrics = program(members, *shared)
        assert np.all(metrics.finite)
        assert np.all(np.asarray(metrics.updates) == TOY.updates)


def test_the_agents_of_the_benchmark_are_those_of_the_inner_loop(work):
    program, members, shared = training.agents(work.situation, mpo.objective("orpo"), 2, work.lone)
    params, _ = program(members, *shared)
    ground, keys = work.situation, jax.random.split(jax.random.key(0), 2)
    for number_, key in enumerate(keys):
        alone, _ = train(
            mpo.objective("orpo"), ground.sources[0], ground.task.policy, key, ground.descent
        )
        for mine, its in zip(jax.tree.leaves(params), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(mine[number_], its, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("task", ["reach", "token_bandit"])
def test_the_bare_gradient_is_that_of_the_log_likelihood(task):
    """After three steps of 1e-6 the parameters have moved by three gradients, nearly."""
    setting = dataclasses.replace(TOY, task=task, rows=20)
    work = Workload(setting)
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


def test_a_generation_splits_into_shares_that_sum_to_one(work):
    table = positive(generation.measure(work))
    assert list(table.rows) == ["train", "evaluate", "ask and tell", "host", "whole"]
    *parts, whole = table.rows.values()
    assert sum(row["s"] for row in parts) == pytest.approx(whole["s"])
    assert sum(row["share"] for row in parts) == pytest.approx(1.0)
    assert all(row["share"] <= 1 for row in parts)
    agents = TOY.population + 2
    assert table.rows["train"]["agents/s"] == pytest.approx(agents / table.rows["train"]["s"])
    steps = agents * TOY.episodes * work.task.horizon
    assert table.rows["evaluate"]["env steps/s"] == pytest.approx(
        steps / table.rows["evaluate"]["s"]
    )


def test_what_no_part_of_a_generation_took_is_the_hosts():
    lines = [
        {"split": {"ask": 0.1, "train": 2.0, "score": 1.0, "tell": 0.1}},
        {"split": {"ask": 0.1, "train": 4.0, "score": 1.0, "tell": 0.3}},
    ]
    rows = generation.split([4.0, 6.0], lines, agents=6, steps=600)
    assert rows["train"]["s"] == pytest.approx(3.0)
    assert rows["ask and tell"]["s"] == pytest.approx(0.3)
    assert rows["host"]["s"] == pytest.approx(0.7)
    assert rows["whole"] == pytest.approx(
        {"s": 5.0, "share": 1.0, "agents/s": 1.2, "env steps/s": 120.0}
    )


@pytest.mark.parametrize("task", generation.PAPER)
def test_a_generation_of_the_papers_size_is_its_preset(task):
    asked = generation.of_paper(task)
    assert asked.task.name == task
    assert (asked.search.population, asked.search.episodes) == (256, 100)
    assert asked.search.generations == 2
    assert asked.family.settings["units"] == 126
    assert asked.training.hyper["epochs"] == 1


def test_a_task_without_a_paper_is_skipped(work):
    with pytest.raises(Skipped, match="no preset"):
        generation.paper(work)


@pytest.mark.slow
def test_growth_reads_off_what_each_program_has_in_memory(work):
    table = positive(growth.measure(work))
    rows = table.rows
    few, many = rows["agents 1, rows 12"], rows["agents 3, rows 12"]
    devices = work.devices.size
    shares = [-(-size // devices) for size in (1, 3)]
    program, members, shared = training.agents(
        growth.short(work.situation), mpo.objective("orpo"), 1, work.lone
    )
    handed_back = jax.tree.leaves(program(members, *shared))
    own = sum(leaf.nbytes for leaf in handed_back)
    grown = (many["results MB"] - few["results MB"]) * 1e6
    assert grown == pytest.approx((shares[1] - shares[0]) * own)
    short, long = rows[f"agents {devices}, rows 12"], rows[f"agents {devices}, rows 24"]
    step = 4 * (2 + 2)  # two numbers seen and two done, single precision
    more = (24 - 12) * 2 * (10 * step + 4)  # and the length of each response
    assert (long["arguments MB"] - short["arguments MB"]) * 1e6 == pytest.approx(more)
    assert long["in between MB"] == pytest.approx(short["in between MB"])


@pytest.mark.parametrize(
    ("part", "reason"),
    [(rollouts, "no physics"), (against_evosax, "no environment 'reach'")],
)
def test_a_part_that_a_task_does_not_have_is_skipped(part, reason, work):
    with pytest.raises(Skipped, match=reason):
        part.measure(work)


@pytest.mark.slow
def test_returns_are_those_of_responses_and_physics_is_the_simulators():
    task = envs.task("hopper", horizon=3)
    assert isinstance(task, PhysicsTask)
    programs = rollouts.candidates(task, (2, 2))
    results = {name: jax.jit(one)(*args) for name, (one, args) in programs.items()}
    np.testing.assert_allclose(results["returns"], results["responses"].total, rtol=1e-5)
    starts, actions = programs["bare brax"][1]
    state = task.begin(Start(starts.q[0, 1], starts.qd[0, 1]))
    for _ in range(3):
        state = task.simulator.step(state, actions[0, 1])
    np.testing.assert_allclose(results["bare brax"][0, 1], state.q, rtol=1e-4, atol=1e-5)


def test_acting_is_held_by_physics(monkeypatch):
    def stand_in(task, lead):
        programs = dict.fromkeys(("bare brax", "returns", "responses"), jnp.cumsum)
        return {name: (one, (jnp.ones(lead),)) for name, one in programs.items()}

    monkeypatch.setattr(rollouts, "candidates", stand_in)
    table = positive(rollouts.measure(Workload(dataclasses.replace(TOY, task="hopper"))))
    assert len(table.rows) == 6
    for what in ("3 episodes", "2 x 2 episodes"):
        bare = table.rows[f"bare brax, {what}"]
        assert bare["of bare"] == 1.0
        acting = table.rows[f"returns, {what}"]
        assert acting["of bare"] == pytest.approx(acting["env steps/s"] / bare["env steps/s"])


@pytest.mark.slow
def test_measuring_agents_is_held_by_evosax():
    hopper = Workload(dataclasses.replace(TOY, task="hopper", horizon=6))
    table = positive(against_evosax.measure(hopper))
    theirs = table.rows[against_evosax.ALONE]
    assert theirs["of evosax"] == 1.0
    for row in table.rows.values():
        assert row["of evosax"] == pytest.approx(row["env steps/s"] / theirs["env steps/s"])


@pytest.mark.llm
def test_pytorch_trains_the_very_agent_that_is_trained_here():
    once = Workload(dataclasses.replace(TOY, rounds=1))
    table = positive(against_torch.measure(once))
    theirs = [row for name, row in table.rows.items() if name.startswith("PyTorch")]
    assert max(row["of PyTorch"] for row in theirs) == 1.0
    assert len(theirs) == len(against_torch.thread_counts())
    gap = float(table.notes[-1].rsplit(" ", 1)[1])
    assert 0 <= gap < 1e-5


@pytest.mark.llm
def test_a_pytorch_agent_of_another_start_is_seen_to_differ(work, tmp_path):
    loop = against_torch.Loop(tmp_path)
    loop.write(work)
    loop.train()
    params = work.task.policy.init(jax.random.key(9))
    assert loop.difference(jax.tree.map(lambda leaf: leaf[None], params)) > 1e-3


@pytest.mark.llm
def test_orpo_in_pytorch_is_orpo_here():
    import torch

    from llm_transfer import torch_loop

    logp = np.array([[-2.0, -3.0], [-0.5, 0.7], [2.0, -40.0], [0.0, 0.0]], np.float32)
    theirs = torch_loop.orpo(*torch.tensor(logp).T)
    pairs = mpo.Comparison(logp=jnp.asarray(logp), length=jnp.ones((4, 2)))
    ours = jax.vmap(mpo.objective("orpo"))(pairs)
    np.testing.assert_allclose(theirs, ours, rtol=1e-5)


def test_without_torch_the_loop_is_skipped_with_what_to_do(work, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Skipped, match=r"preference-discovery\[llm\]"):
        against_torch.measure(work)


def test_the_loop_knows_no_other_policies():
    tokens = Workload(dataclasses.replace(TOY, task="token_bandit", rows=20))
    with pytest.raises(Skipped, match="Gaussian"):
        against_torch.measure(tokens)


def test_a_process_that_fails_says_why():
    with pytest.raises(RuntimeError, match="unknown task 'reachh'"):
        child.started(dataclasses.replace(TOY, task="reachh"))


@pytest.mark.slow
def test_a_second_process_finds_what_the_first_compiled(work):
    cold, cached = positive(compiling.measure(work)).rows.values()
    for row in (cold, cached):
        assert row["in the compiler s"] < row["whole process s"]
        assert row["first generation s"] < row["whole process s"]


@pytest.mark.slow
def test_the_memory_of_processes_is_measured(work):
    rows = positive(memory.measure(work)).rows
    assert list(rows) == ["population 4, 12 rows", "population 4, 24 rows"]
    assert all(row["compiled MB"] > 50 for row in rows.values())


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
def test_a_peak_is_seen_and_forgotten():
    def peak():
        return machine.peak_memory() or 0.0

    machine.forget_peak()
    before = peak()
    np.ones(30_000_000).sum()
    assert peak() > before + 200e6
    machine.forget_peak()
    assert peak() < before + 100e6


# --- the whole --------------------------------------------------------------------------------


def test_parts_are_chosen_by_name_or_by_what_fits():
    everything = list(bench.PARTS)
    assert bench.chosen([], "cpu", quick=False, paper=False) == tuple(everything[:-1])
    assert bench.chosen([], "cpu", quick=False, paper=True) == tuple(everything)
    assert bench.chosen([], "gpu", quick=False, paper=False) == tuple(everything)
    glance = ("train", "generation", "torch")
    assert bench.chosen([], "gpu", quick=True, paper=False) == glance
    named = bench.chosen(["memory", "train"], "gpu", quick=True, paper=False)
    assert named == ("train", "memory")
    with pytest.raises(RequestError, match="did you mean 'train'"):
        bench.chosen(["trian"], "cpu", quick=False, paper=False)


@pytest.fixture
def stand_ins(monkeypatch):
    """Put parts in place that take no time; return the settings they were given."""
    seen = []

    def measured(work):
        seen.append(work.setting)
        return Table("a part", {"one": {"s": 1.0}, "two": {"s": 2.0, "share": 0.5}}, ("noted",))

    def unable(work):
        raise Skipped("not here")

    parts = {"train": bench.report.Part(measured), "torch": bench.report.Part(unable)}
    monkeypatch.setattr(report, "PARTS", parts)
    return seen


@pytest.mark.usefixtures("stand_ins")
def test_a_report_has_a_stable_schema():
    said: list[str] = []
    found = bench.measure(["train", "torch"], TOY, said.append).as_json()
    assert json.loads(json.dumps(found, allow_nan=False)) == json.loads(json.dumps(found))
    assert set(found) == {"schema", "machine", "setting", "parts", "skipped", "seconds"}
    assert found["schema"] == bench.SCHEMA
    assert found["parts"] == {
        "train": {
            "about": "a part",
            "rows": {"one": {"s": 1.0}, "two": {"s": 2.0, "share": 0.5}},
            "notes": ["noted"],
        }
    }
    assert found["skipped"] == {"torch": "not here"}
    assert Setting.from_json(found["setting"]) == TOY
    about = found["machine"]
    assert set(about) == {
        "line", "platform", "kind", "devices", "cores", "load", "versions"
    }  # fmt: skip
    assert about["platform"] in about["line"]
    assert f"jax {jax.__version__}" in about["line"]
    assert [line.split(": ")[1] for line in said] == ["train", "torch"]


def test_the_command_prints_tables_and_reasons(stand_ins, capsys):
    assert main(["bench", "--task", "reach", "--quick"]) == 0
    said = capsys.readouterr()
    assert "train: a part" in said.out
    assert "noted" in said.out
    assert "torch: not measured, not here" in said.out
    assert "train" in said.err
    assert stand_ins == [Setting(**{**QUICK, "task": "reach"})]


def test_the_command_prints_json(stand_ins, capsys):
    assert main(["bench", "--parts", "train", "--synthetic", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert list(printed["parts"]) == ["train"]
    assert stand_ins[0].synthetic
    assert stand_ins[0].rows == Setting().rows


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["--parts", "trains"], "did you mean 'train'"), (["--task", "hoper"], "did you mean")],
)
def test_a_wrong_request_is_status_2(arguments, says, capsys):
    assert main(["bench", "--quick", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_a_population_is_compared_as_it_is():
    from discovery.bench.timing import compare

    run = population(lambda member: member * 2)
    timings = compare({"it": (run, (jnp.arange(3.0),)), "f": (jnp.sin, (jnp.ones(2),))}, 2)
    assert run.compilations == 1
    assert all(timing.best > 0 for timing in timings.values())
