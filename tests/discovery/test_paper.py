"""Tables and figures of the paper: all of them build, and one of each kind is made whole."""

import csv
import json
import signal

import numpy as np
import pytest

import mpo
from discovery.cli import main
from discovery.config import from_json
from discovery.config.scales import SCALES
from discovery.evidence import Store, tuning
from discovery.evidence.tuned_file import read_tuned
from discovery.host import startup
from discovery.host.stopping import Interrupted
from discovery.paper import Request, exhibit, exhibits, figure, make, table, trainings
from discovery.paper.exhibit import SHAPES as KNOWN_SHAPES
from discovery.paper.exhibit import from_values
from discovery.paper.making import SHAPES
from discovery.search import situation
from envs.registry import task_class
from mpo.artifact.places import SHIPPED
from mpo.claim import locked
from mpo.errors import RequestError

ALL = [(name, scale) for name in exhibits() for scale in SCALES]
TINY = {"data.rows": 16, "training.hyper.updates": 2}
SILENT = ["--set", "data.rows=16", "--set", "training.hyper.updates=2", "--episodes", "2"]


@pytest.fixture(autouse=True)
def _process_as_it_is(monkeypatch):
    """Leave the devices and the compilation cache of the process of the tests alone."""
    monkeypatch.setattr(startup, "host_devices", lambda: None)
    monkeypatch.setattr(startup, "compilation_cache", lambda: None)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Return where an objective is that was not shipped."""
    path = tmp_path_factory.mktemp("found") / "objective"
    mpo.save(mpo.objective("closed_form", alpha=0.5), path)
    return str(path)


@pytest.fixture
def bandit(found):
    """Return a table of two rows on the bandit, one of whose columns does not ship."""
    return from_values(
        "table-9",
        {
            "about": "Table 9: a try",
            "shape": "table",
            "task": "token_bandit",
            "objectives": {"ORPO": "orpo", "found": found, "gone": "found/not-there"},
            "paper": {"gone": "fails"},
            "rows": [
                {"name": "one", "about": "shuffled", "data": {"kind": "shuffled"}},
                {"name": "two", "about": "noisy", "data": {"kind": "noisy"}},
            ],
        },
    )


def test_the_paper_is_all_there():
    assert list(exhibits()) == [
        "figure-1", "figure-2", "figure-3", "figure-4", "table-1", "table-2", "table-3", "transfer",
    ]  # fmt: skip
    rows = {row.name for row in exhibit("table-1").rows}
    for kinds in (["base-900", "base-1200", "base-1800", "base-2100"], ["noisy-0.1", "shuffled"],
                  ["judge-low", "judge-medium", "judge-high"]):  # fmt: skip
        assert set(kinds) <= rows
    assert set(exhibit("table-1").columns) == {"ORPO", "found", "DPO", "cDPO"}
    assert exhibit("figure-4").moments == (0.0, 0.5, 1.0)
    (hopper,) = exhibit("transfer").chosen(("hopper",))
    assert hopper.paper == {"from the three-legged Ant": "1735 ± 39"}
    assert hopper.objectives["from the three-legged Ant"] == "found/tla-shuffled"


def test_shapes_are_those_that_can_be_made():
    assert set(SHAPES) == set(KNOWN_SHAPES)


@pytest.mark.parametrize(("name", "scale"), ALL)
@pytest.mark.sweep
def test_every_row_is_a_situation_that_can_be_trained_in(name, scale):
    for row in exhibit(name).rows:
        described = row.config(SCALES[scale], {})
        situation.check(described)
        assert described.task.name == row.task
        assert described.data[0].kind == row.data["kind"]


@pytest.mark.parametrize("name", exhibits())
def test_every_objective_is_known_or_to_be_shipped(name):
    shown = exhibit(name)
    for row in shown.rows:
        assert next(iter(row.objectives.values())) == "orpo"
        assert set(row.paper) <= set(row.objectives)
        assert set(row.objectives) <= set(shown.columns)
        for objective in row.objectives.values():
            assert objective.startswith(SHIPPED) or mpo.objective(objective)


@pytest.mark.parametrize("task", ["hopper", "three_legged_ant", "token_bandit", "reach", "ant"])
@pytest.mark.parametrize("scale", SCALES.values())
def test_a_task_says_how_it_is_evaluated_at_a_scale(task, scale):
    if scale.usual or scale.name in task_class(task).defaults.sizes:
        described = from_json(scale.described(task))
        assert described.task.name == task
    else:
        with pytest.raises(RequestError, match="does not say how its agents are trained"):
            scale.described(task)


@pytest.mark.sweep
def test_a_table_has_the_numbers_of_its_store(bandit, found, tmp_path):
    said: list[str] = []
    pages = make(Request(bandit, seeds=2, episodes=2, changes=TINY), tmp_path, said.append)
    assert "one: found/not-there does not ship with this version, so it is not measured" in said
    text = pages[0].read_text()
    lines = {line.split(" | ")[0]: line for line in text.splitlines()}
    rows = list(csv.DictReader((tmp_path / "returns.csv").read_text().splitlines()))
    for row, about in (("one", "| shuffled"), ("two", "| noisy")):
        store = Store(tmp_path / "rows" / row / "returns.csv")
        means = {}
        for name in ("orpo", found):
            own = [store.get(name, seed) for seed in (0, 1)]
            means[name] = np.mean(own)
            kept = [r["return"] for r in rows if (r["row"], r["objective"]) == (row, name)]
            assert [float(value) for value in kept] == own
        assert f"| {means['orpo']:.3g} ± " in lines[about]
        assert f"({means[found] - means['orpo']:+.3g})" in lines[about]
        assert "| not shipped | 2 | gone: fails |" in lines[about]
    held = json.loads((tmp_path / "results.json").read_text())
    assert [row["measured"]["rows"][0]["mean"]["mean"] for row in held["rows"]] == pytest.approx(
        [np.mean([Store(tmp_path / "rows" / n / "returns.csv").get("orpo", s) for s in (0, 1)])
         for n in ("one", "two")]
    )  # fmt: skip
    assert "<table>" in pages[1].read_text()


def test_each_row_is_tuned_on_data_of_its_own_kind(bandit, tmp_path, monkeypatch):
    monkeypatch.setattr(tuning, "SEEDS", 1)
    asked = Request(bandit, seeds=2, episodes=2, changes=TINY, tune=True)
    make(asked, tmp_path)
    for row in asked.rows:
        held = read_tuned(table.tuned_file(tmp_path, row))
        assert {*held.objectives} == {"orpo"}
        assert held.elsewhere(asked.config(row)) == []
    results = json.loads((tmp_path / "results.json").read_text())
    for row in results["rows"]:
        notes = {line["name"]: line["note"] for line in row["measured"]["rows"]}
        assert notes["orpo"] == "tuned"
    before = (tmp_path / "results.json").read_bytes()
    make(asked, tmp_path, lambda text: pytest.fail(text) if "done" in text else None)
    assert (tmp_path / "results.json").read_bytes() == before


def test_a_table_goes_on_where_it_was_stopped(bandit, tmp_path):
    request = Request(bandit, seeds=2, episodes=2, changes=TINY)

    def interrupt(text):
        if text == "two: preparing the data":
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted, match="the same command goes on"):
        make(request, tmp_path / "t", interrupt)
    before = (tmp_path / "t" / "table-9.md").read_text()
    assert "| noisy |  | not measured | not measured | not shipped |" in before
    said: list[str] = []
    (page, _) = make(request, tmp_path / "t", said.append)
    assert [text for text in said if "seeds done" in text and text.startswith("one")] == []
    said.clear()
    text = page.read_text()
    assert "| not measured |" not in text
    make(request, tmp_path / "t", said.append)
    assert not [one for one in said if "preparing" in one]
    assert page.read_text() == text


def test_rows_that_are_not_asked_for_keep_what_they_have(bandit, tmp_path):
    one = Request(bandit, seeds=2, episodes=2, changes=TINY, only=("one",))
    two = Request(bandit, seeds=2, episodes=2, changes=TINY, only=("two",))
    make(one, tmp_path)
    (page, _) = make(two, tmp_path)
    assert "| not measured |" not in page.read_text()
    other = Request(bandit, seeds=2, episodes=2, changes=TINY | {"data.rows": 20}, only=("one",))
    with pytest.raises(RequestError, match="holds another evaluation"):
        make(other, tmp_path)


@pytest.mark.sweep
def test_a_figure_is_drawn_once_its_trainings_are_recorded(found, tmp_path):
    shown = from_values(
        "figure-9",
        {
            "about": "Figure 9: a try",
            "shape": "figure",
            "task": "token_bandit",
            "objectives": {"ORPO": "orpo", "found": found, "gone": "found/not-there"},
            "rows": [{"name": "one", "about": "shuffled", "data": {"kind": "shuffled"}}],
        },
    )
    said: list[str] = []
    request = Request(shown, changes=TINY)
    with (
        locked(tmp_path / "rows" / "one"),
        pytest.raises(RequestError, match="another process"),
    ):
        make(request, tmp_path)
    pages = make(request, tmp_path, said.append)
    assert (tmp_path / "figures" / "figure-9-one.png").stat().st_size > 10_000
    assert "`found/not-there` does not ship" in pages[0].read_text()
    assert "data:image/png;base64," in pages[1].read_text()
    assert sum("training under" in text for text in said) == 2
    make(request, tmp_path, said.append)
    assert sum("training under" in text for text in said) == 2
    other = Request(shown, changes=TINY | {"data.rows": 20})
    assert not figure.show(other, tmp_path).page.finished  # recorded of other data

    def interrupt(text):
        if text.startswith("one: training under") and "orpo" not in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(other, tmp_path, interrupt)
    assert not figure.show(request, tmp_path).page.finished  # half of it is of other data


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["table-4"], "unknown table or figure 'table-4'"),
        (["table-1", "--only", "bse-900"], "'base-900'"),
        (["table-1", "--scale", "huge"], "unknown scale 'huge'"),
        (["table-1", "--seeds", "0"], "seeds is 0"),
        (["table-1", "--seeds", "1"], "at least 2"),
        (["figure-1", "--seeds", "0"], "at least 1"),
        (["table-1", "--episodes", "0"], "episodes is 0"),
        (["table-1", "--set", "data.rows=0"], "≥ 1, not 0"),
        (["table-1", "--set", "data.row=9"], "unknown setting of data 'row'"),
        (["figure-1", "--tune"], "--tune is for a table"),
    ],
)
def test_a_wrong_request_is_one_line_and_writes_nothing(
    arguments, says, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert main(["paper", *arguments]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_an_exhibit_with_a_misspelt_setting_is_refused():
    about = {"about": "x", "shape": "table", "task": "hopper", "objectives": {"ORPO": "orpo"}}
    row = {"name": "a", "about": "a"}
    with pytest.raises(RequestError, match="unknown setting of mine 'row'"):
        from_values("mine", {**about, "row": [row]})
    with pytest.raises(RequestError, match="unknown setting of row 'dta'"):
        from_values("mine", {**about, "rows": [{**row, "dta": {}}]})
    with pytest.raises(RequestError, match="same name"):
        from_values("mine", {**about, "rows": [row, row]})


@pytest.mark.sweep
def test_the_command_lists_and_makes(tmp_path, capsys):
    assert main(["paper", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {**exhibits(), **trainings.names()}
    out = tmp_path / "t"
    arguments = ["transfer", "--only", "token_bandit", "--seeds", "2", *SILENT]
    assert main(["paper", *arguments, "--out", str(out)]) == 0
    assert "| token bandit | 0.9" in capsys.readouterr().out
    assert (out / "transfer.html").exists()


def test_names_of_the_package_stay_functions_when_its_files_are_read():
    """Reading files of a subpackage imports it, and sets its name in the package."""
    from discovery import paper

    assert paper.exhibit(next(iter(paper.exhibits()))).rows
    assert callable(paper.exhibits)
    assert callable(paper.exhibit)
