"""From a folder to its report on disk."""

import os
from pathlib import Path

from discovery.report import evaluation, run
from discovery.report.page import Page, standalone
from discovery.runs.folder import Folder
from mpo import treefile
from mpo.errors import RequestError, place_to_write

ENDINGS = (".html", ".md")


def page(folder: Path) -> Page:
    """Return the report of a run, or of an evaluation, as far as it has come.

    Raises:
      RequestError: the folder is neither's, or something in it is damaged.
    """
    if Folder(folder).config.exists():
        record = run.read(folder)
        _draw_search(record)
        return run.page(record)
    if evaluation.is_one(folder):
        return evaluation.page(folder)
    raise RequestError(
        f"{folder} is no folder of a run (it has no config.json) or of an evaluation "
        "(no evaluation.json)"
    )


def write(folder: Path, out: Path | None = None) -> list[Path]:
    """Write the report, and return where it is.

    By default report.html and report.md in the folder. A run that has not ended gets no
    report.md there: that file says that it has.

    Args:
      folder: of a run, or of an evaluation.
      out: a file to write instead, x.html or x.md.

    Raises:
      RequestError: the folder is neither's, something in it is damaged, or `out` cannot be.
    """
    if out is not None and out.suffix not in ENDINGS:
        raise RequestError(f"a report is written as {' or '.join(ENDINGS)}, not as {str(out)!r}")
    made, marker = page(folder), Folder(folder).report
    if out is not None and not made.finished and out.resolve() == marker.resolve():
        raise RequestError(f"{folder} has not ended, which {marker} would say: choose another file")
    wanted = [out] if out else [folder / "report.html", *([marker] if made.finished else [])]
    for path in wanted:
        put(made, path)
    return wanted


def put(made: Page, path: Path) -> None:
    """Write a page as HTML or as Markdown, by the ending of `path`."""
    text = _html(made) if path.suffix == ".html" else _markdown(made, path)
    with place_to_write(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        treefile.replace(path, text.encode())


def _html(made: Page) -> str:
    return standalone(made.markdown(), made.title, made.folder)


def _markdown(made: Page, path: Path) -> str:
    """Return the Markdown, its figures found from where it is to be."""
    here = os.path.relpath(made.folder, path.parent)
    return made.markdown("" if here == "." else f"{here}/")


def _draw_search(record: run.Record) -> None:
    """Draw the search curve of a run as far as it has come; a finished run has its own."""
    from discovery.evidence.figures import search_curve

    if not record.lines or record.result is not None:
        return
    described = record.config
    caption = f"{described.about or described.task.name} (seed {described.seed}), so far"
    search_curve(record.lines, record.folder.path / "figures" / "search.png", {}, caption)
