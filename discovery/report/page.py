"""A page of a report: a title and Markdown, what was asked, and one self-contained HTML file."""

import base64
import html
import mimetypes
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from markdown_it import MarkdownIt

from discovery.evidence import markdown

SECTIONS = {
    "task": "task",
    "data": "data",
    "training": "agents",
    "family": "searched",
    "search": "search",
    "evaluation": "evaluation",
}
"""Sections of a description, and what the table calls them."""


def asked(description: Mapping[str, Any]) -> str:
    """Return the sections that a description has, as plain JSON values, in a Markdown table."""
    return markdown.table(("part", "as asked"), list(_rows(description)))


def _rows(description: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for section, name in SECTIONS.items():
        values = description.get(section)
        tables = values if isinstance(values, list) else [values]
        for number, table in enumerate(tables, 1):
            if isinstance(table, Mapping):
                yield name if len(tables) == 1 else f"{name} {number}", _words(table)


def _words(values: Mapping[str, Any]) -> str:
    """Return settings as a list of words, without those that were left out."""
    said = {name: value for name, value in values.items() if value is not None and value != {}}
    return ", ".join(f"{markdown.escaped(name)} {_word(value)}" for name, value in said.items())


def _word(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"({_words(value)})"
    if isinstance(value, list):
        return " ".join(map(_word, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return markdown.escaped(f"{value:g}" if isinstance(value, float) else str(value))


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
body {{ max-width: 54rem; margin: 2rem auto; padding: 0 1rem; color: #1c2024; background: #fff;
  font: 16px/1.55 system-ui, sans-serif; }}
h1 {{ font-size: 1.6rem; line-height: 1.25; }}
h2 {{ font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #d9dde1; }}
img {{ max-width: 100%; height: auto; }}
table {{ display: block; overflow-x: auto; border-collapse: collapse; margin: 1rem 0;
  font-variant-numeric: tabular-nums; }}
th, td {{ padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #e6e9ec; text-align: left;
  vertical-align: top; }}
th {{ border-bottom-color: #8a939b; white-space: nowrap; }}
code, pre {{ font: .88em/1.5 ui-monospace, monospace; background: #f4f6f8; }}
code {{ padding: .1em .3em; overflow-wrap: anywhere; }}
pre {{ padding: .8rem; overflow-x: auto; }}
pre code {{ padding: 0; overflow-wrap: normal; }}
blockquote {{ margin: 1rem 0; padding: .5rem 1rem; border-left: 4px solid #c9820a;
  background: #fdf6e7; }}
blockquote p {{ margin: 0; }}
</style>
</head>
<body>
{body}</body>
</html>
"""


def standalone(markdown: str, title: str, folder: Path) -> str:
    """Return the page.

    Args:
      markdown: the text of the page. HTML in it is shown, not obeyed.
      title: what the window of the page is called.
      folder: that the paths of the figures are relative to.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    for token in tokens:
        children = token.children or []
        for image in (child for child in children if child.type == "image"):
            image.attrs["src"] = _data_uri(folder / unquote(str(image.attrs["src"])))
    body = parser.renderer.render(tokens, parser.options, {})
    return _PAGE.format(title=html.escape(title), body=body)


def _data_uri(path: Path) -> str:
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


@dataclass(frozen=True)
class Page:
    """A report.

    Attributes:
      title: what the page is called.
      parts: blocks of Markdown; the paths of figures are relative to `folder`.
      folder: of the run, evaluation or exhibit that is reported on.
      finished: whether what is reported on has ended; if not, the page says so.
    """

    title: str
    parts: Sequence[str]
    folder: Path
    finished: bool

    def markdown(self, prefix: str = "") -> str:
        """Return the report as Markdown, with `prefix` before the path of every figure."""
        text = "\n\n".join((f"# {markdown.escaped(self.title)}", *self.parts)) + "\n"
        return text.replace("](<", f"](<{prefix}")  # of figures: elsewhere "<" is escaped


def figures(folder: Path, captions: dict[str, str]) -> dict[str, str]:
    """Return a line of Markdown for each figure that is in `folder`, by its name.

    Args:
      folder: of the run or evaluation; pictures are in its folder `figures`.
      captions: of figures, by file name; a figure without one is called by its name.
    """
    found = sorted(path.name for path in (folder / "figures").glob("*.png"))
    return {
        name: markdown.figure(captions.get(name, name.removesuffix(".png")), f"figures/{name}")
        for name in found
    }
