"""Markdown as one self-contained HTML page: figures inside it, nothing loaded from anywhere."""

import base64
import html
import mimetypes
from pathlib import Path
from urllib.parse import unquote

from markdown_it import MarkdownIt

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
      markdown: its text. HTML in it is shown, not obeyed.
      title: of the window.
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
