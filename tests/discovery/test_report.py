"""Reports: what was found as one page that needs nothing else, whatever stands in the files."""

import base64
import dataclasses
import json
import os
import re
from html.parser import HTMLParser

import jax.numpy as jnp
import numpy as np
import pytest

import mpo
from discovery import config, report
from discovery.cli import main
from discovery.evidence import Store, Table, markdown, tuning
from discovery.evidence.evaluation import Evaluation, wanted
from discovery.evidence.returns import RETURN
from discovery.evidence.statistics import mean
from discovery.runs import Result, finish
from discovery.runs.folder import Folder
from discovery.runs.loop import Progress
from discovery.search.search import State
from mpo.errors import RequestError
from tests.browser import screenshot
from tests.discovery.conftest import TINY

ODD = "<script>alert(1)</script> & | *x* `y` [a](b) $z$"
RETURNS = {
    "found": np.array([3.0, 4.0, 5.5]),
    "orpo": np.array([1.0, 2.0, 2.5]),
    "sft": np.array([1.5, np.nan, 2.0]),
}


def line(generation):
    fitness = dict.fromkeys(("mean", "best", "worst", "middle", "start"), 1.0 + generation)
    rest = {"spread": 0.1, "not_finite": 0, "distance": 0.0, "seconds": 60.0 * generation}
    return {"generation": generation, **fitness, **rest, "split": {"training": 1.0}}


@pytest.fixture
def begun(tmp_path):
    """Return the folder of a run of two generations out of four."""
    folder = Folder(tmp_path / "a run")
    with folder.claimed(config.from_json({**TINY, "about": ODD})):
        text = "".join(json.dumps(line(n)) + "\n" for n in range(2))
        folder.metrics.write_text(text + '{"generation": 2, "me')
    return folder


@pytest.fixture
def ended(begun):
    """Return the folder of a run that has ended."""
    described = config.from_file(begun.config)
    result = Result(
        objective=mpo.objective("closed_form", alpha=0.25),
        selected="mean",
        candidates={"start": mean(np.array([1.0])), "mean": mean(np.array([2.0, 3.0]))},
        returns=RETURNS,
        authors={"expert": 9.9},
    )
    progress = Progress(
        State(None, jnp.int32(4), *[jnp.zeros(())] * 3), [line(n) for n in range(4)]
    )
    begun.metrics.write_text("".join(json.dumps(one) + "\n" for one in progress.lines))
    finish.write(described, progress, result, begun)
    report.write(begun.path)
    return begun


@pytest.fixture
def evaluated(tmp_path, tiny):
    """Return the folder of an evaluation, two of whose objectives are done."""
    folder = tmp_path / "evaluated"
    names = tuning.contestants(("orpo", "sft", "dpo"), tiny, {})
    folder.mkdir()
    asked = Evaluation(tiny, names, seeds=3, episodes=2, command="discovery evaluate --seeds 3")
    (folder / "evaluation.json").write_text(json.dumps(wanted(asked)))
    store = Store(folder / "returns.csv")
    store.add("orpo", [0, 1, 2], {RETURN: RETURNS["orpo"]})
    store.add("sft", [0, 1], {RETURN: RETURNS["sft"][:2]})
    return folder


class Reader(HTMLParser):
    """Collects tags, pictures and text of a page."""

    def __init__(self):
        super().__init__()
        self.tags, self.pictures, self.text = set(), [], []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        named = dict(attrs)
        if tag == "img":
            self.pictures.append((named["alt"], named["src"]))
        assert not {"href", "onload", "onerror"} & named.keys()

    def handle_data(self, data):
        self.text.append(data)


def opened(path):
    reader = Reader()
    reader.feed(path.read_text())
    return reader


def test_a_run_ends_with_a_page_that_holds_everything(ended):
    page = opened(ended.path / "report.html")
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert not re.search(r"(src|url)\s*[=(]\s*[\"']?http", (ended.path / "report.html").read_text())
    held = [
        base64.b64decode(src.removeprefix("data:image/png;base64,")) for _, src in page.pictures
    ]
    drawn = [ended.path / "figures" / f"{name}.png" for name in ("search", "landscape")]
    assert held == [path.read_bytes() for path in drawn]
    text = "".join(page.text)
    for part in ("The situation", "What it is worth", "The search", "How it was made"):
        assert part in text
    assert "The objective found earns 4.17" in text
    assert mpo.load(ended.objective).provenance.versions["jax"] in text


@pytest.mark.slow
def test_a_browser_without_a_network_shows_text_and_figures(ended, tmp_path):
    (written,) = report.write(ended.path, tmp_path / "x.html")
    bare = tmp_path / "bare.html"
    bare.write_text(re.sub(r"data:image/png;base64,[^\"]+", "data:,", written.read_text()))
    shown, without = (screenshot(one, tmp_path) for one in (written, bare))
    assert (shown.max(axis=-1) < 60).sum() > 1000  # letters
    assert (shown != without).any(axis=-1).sum() > 1000  # figures


def test_the_markdown_has_the_same_numbers(ended):
    text = ended.report.read_text()
    assert "| found |  | 4.17 ± 0.726 | +2.33 |" in text
    assert "| sft | default | 1.75 ± 0.25 (1 of 3 failed) |" in text
    assert "| start | 1 |" in text
    assert "](<figures/search.png>)" in text


def test_what_stands_in_files_is_shown_and_not_obeyed(ended):
    page = opened(ended.path / "report.html")
    assert ODD in "".join(page.text)
    assert not page.tags & {"script", "a", "em"}


def test_a_run_in_progress_says_so_and_is_not_taken_for_one_that_ended(begun):
    assert report.write(begun.path) == [begun.path / "report.html"]
    page = opened(begun.path / "report.html")
    assert "Not finished: 2 of 4 generations are done" in "".join(page.text)
    assert len(page.pictures) == 1
    assert not begun.report.exists()
    with pytest.raises(RequestError, match="has not ended"):
        report.write(begun.path, begun.report)
    assert not begun.report.exists()


def test_a_run_of_no_generation_has_a_report(begun):
    begun.metrics.unlink()
    report.write(begun.path)
    assert "0 of 4 generations" in "".join(opened(begun.path / "report.html").text)


def test_markdown_elsewhere_finds_its_figures(ended, tmp_path):
    out = tmp_path / "docs" / "deep" / "page.md"
    report.write(ended.path, out)
    found = re.findall(r"\]\(<(.*)>\)", out.read_text())
    assert len(found) == 2
    for name in found:
        assert os.path.exists(out.parent / name)


def test_a_report_is_the_same_when_it_is_written_again(ended):
    before = [(ended.path / f"report{e}").read_bytes() for e in (".html", ".md")]
    report.write(ended.path)
    assert [(ended.path / f"report{e}").read_bytes() for e in (".html", ".md")] == before


def test_an_unfinished_evaluation_shows_the_seeds_that_all_have(evaluated):
    report.write(evaluated)
    page = opened(evaluated / "report.html")
    text = "".join(page.text)
    assert "Not finished: seeds done so far: orpo 3, sft 2, dpo 0" in text
    assert "1.5 ± 0.5" in text  # ORPO over seeds 0 and 1
    assert len(page.pictures) == 1


def test_a_finished_evaluation_shows_its_own_table(evaluated):
    table = Table.of({"orpo": RETURNS["orpo"]}, {"expert, in the data": 9.9}, {"orpo": "tuned"})
    about = {"command": "discovery evaluate <all>", "versions": {"jax": "0.1"}}
    (evaluated / "results.json").write_text(json.dumps({**about, **table.as_json()}))
    assert report.write(evaluated) == [evaluated / "report.html", evaluated / "report.md"]
    text = (evaluated / "report.md").read_text()
    assert table.markdown() in text
    assert "Not finished" not in text
    assert "discovery evaluate <all>" in "".join(opened(evaluated / "report.html").text)


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda f: f.config.write_text('{"task"'), "is no valid .json"),
        (lambda f: f.config.write_text('{"tusk": {}}'), "unknown section 'tusk'"),
        (lambda f: f.metrics.write_text('{"generation": 0}\n'), "line 1 is no generation's"),
        (lambda f: f.results.write_text("[]"), "results.json is damaged"),
        (lambda f: f.results.write_text('{"selected": "mean"}'), "results.json is damaged"),
        (lambda f: (f.path / "objective.npz").unlink(), "objective.npz is missing"),
        (lambda f: (f.path / "objective.json").write_text("{}"), "is damaged"),
    ],
)
@pytest.mark.sweep
def test_damaged_files_are_one_line_and_status_2(ended, break_it, says, capsys):
    break_it(ended)
    assert main(["report", str(ended.path)]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere"], "is no folder of a run"),
        (["."], "is no folder of a run"),
        (["{run}", "--out", "page.pdf"], "written as .html or .md"),
        (["{run}", "--out", "file/page.html"], "cannot write"),
    ],
)
@pytest.mark.sweep
def test_a_wrong_request_writes_nothing(arguments, says, ended, tmp_path, capsys, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    (here / "file").write_text("")
    assert main(["report", *[a.format(run=ended.path) for a in arguments]]) == 2
    assert says in capsys.readouterr().err
    assert [path.name for path in here.iterdir()] == ["file"]


def test_the_command_says_what_it_wrote(ended, tmp_path, capsys):
    out = tmp_path / "x.html"
    assert main(["report", str(ended.path), "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"written": [str(out)]}
    assert opened(out).pictures


def test_closed_forms_are_in_the_report_with_what_they_earn(ended):
    """As `discovery fit RUN --evaluate` leaves them; formulas are shown as they are."""
    place = ended.path / "closed_forms"
    forms = {
        "psi_formula": "0.12*log(x) | *t*",
        "phi_inv_formula": "0",
        "lam": 2.18,
        "error": 0.0997,
    }
    (place / "evaluation").mkdir(parents=True)
    (place / "front.json").write_text(json.dumps({"points": [{"name": "paper", **forms}]}))
    (place / "front.png").write_bytes((ended.path / "figures" / "search.png").read_bytes())
    table = Table.of({"paper": RETURNS["orpo"]})
    (place / "evaluation" / "results.json").write_text(json.dumps(table.as_json()))
    report.write(ended.path)
    page = opened(ended.path / "report.html")
    text = "".join(page.text)
    assert "0.12*log(x) | *t*" in text
    assert "1.83 ± 0.441" in text
    assert [caption for caption, _ in page.pictures][-1].startswith("Error against size")
    (place / "front.json").write_text('{"points": [{"name": "paper"}]}')
    with pytest.raises(RequestError, match="has no formula"):
        report.write(ended.path)


def test_a_search_that_found_nothing_says_so(ended):
    described, result = config.from_file(ended.config), report.run.read(ended.path).result
    assert result is not None
    stayed = dataclasses.replace(result, selected="start")
    assert "found nothing better than the loss" in report.verdict(stayed)
    assert described.about == ODD


def test_a_gain_among_those_that_did_not_fail_is_no_verdict(ended):
    result = report.run.read(ended.path).result
    assert result is not None
    lost = {**RETURNS, "found": np.array([9.0, 9.1, np.nan])}
    said = report.verdict(dataclasses.replace(result, returns=lost))
    assert "(1 of 3 failed)" in said
    assert "no fair comparison" in said
    assert "p = " not in said


def test_code_keeps_its_backticks():
    assert markdown.fenced("a ``` b").startswith("````")
