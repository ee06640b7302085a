"""What the README says is so: its Python runs, its numbers are those of the results."""

import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

import mpo
from discovery.evidence.evaluation import ASKED, read_table
from discovery.evidence.statistics import mean, number
from discovery.paper import exhibit, exhibits, trainings
from mpo.artifact.places import shipped_names

ROOT = Path(__file__).resolve().parents[1]
README, DOCS = ROOT / "README.md", ROOT / "docs"
PAGES = [README, *sorted(DOCS.glob("*.md"))]
EVALUATED = sorted(path.parent for path in (DOCS / "results").glob(f"*/{ASKED}"))
EXHIBITS = sorted(p for p in (DOCS / "results").glob("*/*.md") if p.stem in exhibits())


def test_the_examples_run_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DISCOVERY_CACHE", str(tmp_path))
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) == 3
    exec(compile("\n".join(blocks), "README.md", "exec"), {})
    earned, finite = capsys.readouterr().out.split()
    assert finite == "True"
    assert float(earned) > 0.4  # the agent it started from earns 0.03


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    gone = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not gone


def test_the_first_result_is_that_of_the_search() -> None:
    search = DOCS / "results" / "searches" / "bandit-shuffled" / "results.json"
    held = json.loads(search.read_text())
    rows = [line.strip("| ").split(" | ") for line in README.read_text().splitlines()]
    told = {row[0]: row[1:3] for row in rows if row[0] in held["returns"]}
    assert {*held["returns"]} == {"found", *held["tuned"]}
    for name, returns in held["returns"].items():
        settings, value = told[name]
        assert value == str(mean(np.array(returns)))
        assert settings.strip() == ("tuned" if name in held["tuned"] else "")


@pytest.mark.parametrize("folder", EVALUATED, ids=lambda path: path.name)
def test_tables_of_the_docs_are_those_of_the_results(folder: Path) -> None:
    table = read_table(folder)
    assert table.markdown().strip() in (DOCS / "found.md").read_text()
    means = {row.name: str(row.mean) for row in table.rows}
    rows = [line.split(" | ") for line in README.read_text().splitlines() if "found/" in line]
    told = {cells[0].strip("| `"): cells[2:] for cells in rows if len(cells) == 5}
    expert = number(table.levels["expert, in the data"])
    shown = [name for name in told if name in means]
    assert shown
    for name in shown:
        found, orpo, level = (cell.strip(" |") for cell in told[name])
        assert found == _rounded(means[name])
        assert orpo == _rounded(means["orpo"])
        assert level == expert


def _rounded(mean: str) -> str:
    value, error = mean.split(" ± ")
    return f"{value} ± {round(float(error))}" if float(error) >= 1 else value


@pytest.mark.sweep
def test_figures_are_drawn_from_the_results(tmp_path: Path) -> None:
    drawing = runpy.run_path(str(DOCS / "draw.py"))
    figures = dict(drawing["figures"]())
    shown = {path.name for path in (DOCS / "figures").iterdir()}
    assert shown - {*figures} == {"three_legged_ant.png"}
    for ending in ("-search.png", "-landscape.png", "-seeds.png"):
        name = next(name for name in sorted(figures) if name.endswith(ending))
        figures[name](tmp_path / name)
        assert (tmp_path / name).stat().st_size > 10_000


@pytest.mark.parametrize("page", EXHIBITS, ids=lambda path: path.stem)
def test_the_papers_tables_and_figures_are_those_of_the_results(page: Path) -> None:
    told = (DOCS / "paper.md").read_text()
    if exhibit(page.stem).shape == "table":
        table = next(part for part in page.read_text().split("\n\n") if part.startswith("| data |"))
        assert table.strip() in told
    else:
        pictures = sorted(page.parent.glob("figures/*.png"))
        assert pictures
        assert all(f"({path.relative_to(DOCS)})" in told for path in pictures)


@pytest.mark.parametrize("name", sorted(shipped_names()))
def test_what_ships_is_told_of(name: str) -> None:
    assert f"`{name}`" in (DOCS / "found.md").read_text()
    assert f"`{name}`" in README.read_text()


@pytest.mark.parametrize("name", sorted(shipped_names()))
def test_what_ships_says_what_the_results_say(name: str) -> None:
    worth = runpy.run_path(str(DOCS / "worth.py"))["worth"]
    assert mpo.load(name).provenance.extra["worth"] == worth(name)


def test_the_leaderboard_is_that_of_the_cells() -> None:
    script = runpy.run_path(str(DOCS / "board.py"))
    told = (DOCS / "leaderboard.md").read_text().partition(script["MARK"])[2]
    assert told.strip() == script["measured"]().strip()


def test_what_is_said_of_the_shift_is_what_was_measured() -> None:
    held = json.loads((DOCS / "results" / "transfer" / "shift.json").read_text())["returns"]
    rows = [line.split(" | ") for line in (DOCS / "differences.md").read_text().splitlines()]
    told = {cells[0].strip("| "): cells[1:3] for cells in rows if len(cells) == 3}
    for name, by in held.items():
        shown = [cell.strip(" |").split(" ")[0].replace(",", "") for cell in told[name]]
        wanted = [np.mean(by[action]) for action in ("sampled", "mean")]
        np.testing.assert_allclose([float(cell) for cell in shown], wanted, atol=0.51)


def test_the_headline_is_that_of_its_returns() -> None:
    script, told = runpy.run_path(str(DOCS / "headline.py")), (DOCS / "found.md").read_text()
    assert script["said"]() in told
    for name in script["PHYSICS"]:
        assert script["said_of"](name) in told


def test_the_gains_of_halves_are_those_of_their_agents() -> None:
    told = (DOCS / "paper.md").read_text()
    optune = runpy.run_path(str(DOCS / "optune.py"))
    assert optune["said"]() in told
    assert optune["said_of_time"]() in told
    assert runpy.run_path(str(DOCS / "zopro.py"))["said"]() in told
    assert runpy.run_path(str(DOCS / "survival.py"))["said"]() in told


def test_the_table_of_algorithms_is_that_of_their_agents() -> None:
    script, told = runpy.run_path(str(DOCS / "algorithms.py")), (DOCS / "train.md").read_text()
    assert script["said"]() in told
    assert script["said_of_hopper"]() in told
    assert script["said_of_searches"]() in told
    assert script["said_of_language"]() in (DOCS / "language-models.md").read_text()


@pytest.mark.parametrize("name", trainings.names())
def test_a_page_of_the_on_policy_papers_is_that_of_its_results(name: str) -> None:
    folder, one = DOCS / "results" / name, trainings.named(name)
    held = json.loads((folder / "results.json").read_text())
    assert (folder / "page.md").read_text() == trainings.written(one, held) + "\n"
    assert one.found in (DOCS / "paper.md").read_text()
    for row in one.rows:
        for column in one.columns:
            asked = held[f"{row.name} / {column.name}"]["asked"]
            assert asked["set"] == {**row.set, **column.set}
            assert asked["algorithm"] == row.algorithm


@pytest.mark.sweep
def test_at_an_exact_loss_guidance_is_extrapolation() -> None:
    """Claims of the specification, held to what was measured and to one way measured again."""
    script = runpy.run_path(str(DOCS / "zopro.py"))
    held = json.loads(script["OUT"].read_text())["off_support"]
    worth = {arm: np.mean(one["return"]) for arm, one in held.items()}
    led, plain = worth["guided, α falls linearly"], worth["SPSA (MeZO)"]
    assert led - plain > 0.1
    assert worth["shuffled Δπ"] < plain + 0.03
    assert abs(worth["no projection"] - led) < 0.03
    assert worth["line search along Δπ"] > led  # no noise is needed: the way itself is enough
    assert held["SPSA (MeZO)"]["dcos2"] > 50
    again = script["earned"]("off_support", "SPSA (MeZO)", (held["SPSA (MeZO)"]["rate"],), range(2))
    assert again["return"][0] == pytest.approx(held["SPSA (MeZO)"]["return"][:2], abs=2e-3)
