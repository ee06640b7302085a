"""Make the pages of the site that nobody writes: mkdocs calls the functions named `on_…`.

The front page is the README; notebooks are run in their small setting and shown; every loss that
ships has a page (docs/found_pages.py); the reference is made from `__all__` and docstrings, and
from the commands' own help. None of them is in the repository.
"""

import base64
import importlib
import inspect
import json
import os
import re
import runpy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
RUN = "SITE_NOTEBOOKS"
"""A variable of the environment that holds a folder: notebooks are run, and kept there."""

PACKAGES = {
    "mpo": "losses, potentials, artifacts",
    "mpo.train": "training an agent: algorithms, renewals, slopes",
    "mpo.policies": "policies",
    "mpo.potentials": "potentials",
    "envs": "tasks",
    "envs.data": "preference data",
    "discovery": "the front door: prepare, train, evaluate, discover",
    "discovery.config": "descriptions of runs",
    "discovery.evidence": "tables, tuning, returns",
    "discovery.weights": "paths of weights, beside what chance gives",
    "llm_transfer": "exports and PyTorch losses",
    "llm_transfer.trainers": "trainers of language models",
    "llm_transfer.language": "a small language to try things on",
}
"""Packages whose public names the reference has, and what each is for."""
OBJECTIVES = "objectives"
"""The page of the reference with every loss that has a name."""
FRONT = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
"""Pages of the root, and what they are called in the site."""
LINK = re.compile(r"\[([^\[\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")

_written: dict[str, str] = {}
"""Where each public thing has its entry in the reference: `envs.judge.Judge`, and the page."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Give made pages their places in the navigation."""
    assert config.nav is not None
    sections: dict[str, list[Any]] = {}
    for section in config.nav:
        sections |= section
    for item in sections["Tutorials"]:
        if isinstance(item, dict) and "Notebooks" in item:
            item["Notebooks"] = [f"notebooks/{path.stem}.md" for path in notebooks()]
    sections["Found losses"] += [{name: f"found/{name}.md"} for name in found_names()]
    sections["Reference"] += [
        {"The command": "reference/command.md"},
        {"Names": "reference/names.md"},
        {"Losses": f"reference/{OBJECTIVES}.md"},
        *({name: f"reference/{name}.md"} for name in PACKAGES),
    ]
    named = json.dumps(config.nav)
    sections["How-to"] += [
        path.name
        for path in sorted(DOCS.glob("*.md"))
        if f'"{path.name}"' not in named and path.name != "README.md"
    ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the made pages."""
    pictures = ROOT / "build" / "site-pictures"
    for name, text in made():
        files.append(File.generated(config, name, content=text))
    for path in found()["pictures"](pictures):
        files.append(File.generated(config, f"found/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links to files of the repository that are no page lead to what the site has of them."""
    if page.file.src_uri in made_names():
        return markdown
    return led(markdown, (DOCS / page.file.src_uri).parent, page.file.src_uri)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let a formula such as N[g](z) be one: Markdown takes it for a link to the page z."""
    return re.sub(r'<a href="([^"./#:]+)">([^<]*)</a>', r"[\2](\1)", html)


def made() -> Iterator[tuple[str, str | bytes]]:
    """Yield the path below docs and the content of every made page and its pictures."""
    for name, called in FRONT.items():
        yield called, led((ROOT / name).read_text(), ROOT, called)
    for path in notebooks():
        yield from notebook(path)
    for name, text in found()["pages"]():
        yield f"found/{name}.md", text
    yield "reference/command.md", command()
    yield "reference/names.md", names()
    _written.clear()
    for name, about in PACKAGES.items():
        yield f"reference/{name}.md", package(name, about)
    yield f"reference/{OBJECTIVES}.md", objectives()


def made_names() -> list[str]:
    """Return the paths of the made pages, without making them."""
    return [
        *FRONT.values(),
        *(f"notebooks/{path.stem}.md" for path in notebooks()),
        *(f"found/{name}.md" for name in found_names()),
        "reference/command.md",
        "reference/names.md",
        f"reference/{OBJECTIVES}.md",
        *(f"reference/{name}.md" for name in PACKAGES),
    ]


# --- Links ----------------------------------------------------------------------------------


def led(text: str, base: Path, at: str) -> str:
    """Return Markdown whose links, which lead from a folder of the repository, lead from a page.

    A link to a file that no page is about stays as its text.

    Args:
      text: the Markdown.
      base: the folder that its links are relative to.
      at: the path of the page below docs.
    """

    def lead(link: re.Match[str]) -> str:
        shown, target, anchor = link.groups(default="")
        whole = Path(os.path.normpath(base / target))
        if ":" in target or not whole.exists():
            return link[0]
        page = _page(whole)
        return f"[{shown}]({os.path.relpath(page, Path(at).parent)}{anchor})" if page else shown

    return LINK.sub(lead, text)


def _page(path: Path) -> str | None:
    """Return the page below docs of a file or folder of the repository, if there is one."""
    if path.is_relative_to(DOCS) and path.suffix != ".py":
        return str(path.relative_to(DOCS))
    name = str(path.relative_to(ROOT))
    if name in FRONT:
        return FRONT[name]
    if path.suffix == ".ipynb":
        return f"notebooks/{path.stem}.md"
    module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    if module.startswith("mpo.objectives"):
        return f"reference/{OBJECTIVES}.md"
    if module in PACKAGES:
        return f"reference/{module}.md"
    homes = [page for thing, page in _written.items() if thing.rpartition(".")[0] == module]
    return homes[0] if homes else None


# --- Notebooks ------------------------------------------------------------------------------


def notebooks() -> list[Path]:
    """Return the notebooks, in their order."""
    return sorted((ROOT / "notebooks").glob("*.ipynb"))


def notebook(path: Path) -> Iterator[tuple[str, str | bytes]]:
    """Yield a notebook as a page, and the pictures that it drew."""
    whole, ran = _ran(path)
    parts: list[str] = []
    for number, cell in enumerate(whole["cells"]):
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(text)
            continue
        parts.append(f"```python\n{text}\n```")
        for place, output in enumerate(cell["outputs"]):
            picture = f"{path.stem}-{number}-{place}.png"
            shown, data = _output(output, picture)
            parts += [shown] if shown else []
            if data:
                yield f"notebooks/{picture}", data
    said = (
        "Outputs are of the notebook's small setting, which shows that it runs: the numbers mean "
        "nothing. Run it yourself for those that do."
        if ran
        else "Shown without its outputs. Run it to see them."
    )
    note = f"*`notebooks/{path.name}`, for Jupyter. {said}*"
    yield f"notebooks/{path.stem}.md", "\n\n".join([parts[0], note, *parts[1:]]) + "\n"


def _output(output: dict[str, Any], picture: str) -> tuple[str, bytes]:
    """Return an output as Markdown, and the bytes of its picture if it is one."""
    data = output.get("data", {})
    if "image/png" in data:
        return f"![drawn by the cell above]({picture})", base64.b64decode(data["image/png"])
    if "text/markdown" in data:
        return "".join(data["text/markdown"]), b""
    text = "".join(output.get("text", data.get("text/plain", ""))).rstrip()
    if output.get("name") == "stderr" or not text:
        return "", b""
    inner = "\n".join(f"{line}" for line in text.splitlines())
    return f"``` {{.text .output}}\n{inner}\n```", b""


def _ran(path: Path) -> tuple[dict[str, Any], bool]:
    """Return a notebook with outputs if a folder for them is given, and whether it has them."""
    folder = os.environ.get(RUN)
    if not folder:
        return json.loads(path.read_text()), False
    kept = Path(folder) / path.name
    if not kept.exists() or kept.stat().st_mtime < path.stat().st_mtime:
        import nbformat
        from nbclient import NotebookClient

        os.environ["NOTEBOOK_SMALL"] = "1"
        whole = nbformat.read(path, 4)
        NotebookClient(whole, timeout=600, kernel_name="python3").execute()
        kept.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(whole, kept)
    return json.loads(kept.read_text()), True


# --- Losses that were found -----------------------------------------------------------------


def found() -> dict[str, Any]:
    """Return what docs/found_pages.py defines."""
    return runpy.run_path(str(DOCS / "found_pages.py"))


def found_names() -> list[str]:
    """Return the objectives that ship, without the place they are in."""
    from mpo.artifact.places import SHIPPED, shipped_names

    return sorted(name.removeprefix(SHIPPED) for name in shipped_names())


# --- Reference ------------------------------------------------------------------------------


def package(name: str, about: str) -> str:
    """Return the page of a package: its docstring, and every name of its `__all__`."""
    module = importlib.import_module(name)
    first, _, rest = (inspect.getdoc(module) or "").partition("\n")
    lines = [f"# `{name}`", f"For {about}.", first, rest]
    public = sorted(module.__all__, key=str.lower)
    lines += [entry(name, one, getattr(module, one)) for one in public]
    return "\n\n".join(lines) + "\n"


def objectives() -> str:
    """Return the page of the losses that have a name."""
    from mpo.objectives import OBJECTIVES as known

    lines = [
        "# Losses",
        "Every loss that `mpo.objective` knows by a name, with its settings. All of them are "
        "frozen pytrees that map a [`Comparison`][mpo.comparison.Comparison] to a number, and "
        "lower is better.",
    ]
    page = f"reference/{OBJECTIVES}.md"
    lines += [_documented(kind, page, heading=name) for name, kind in known.items()]
    return "\n\n".join(lines) + "\n"


def entry(module: str, name: str, value: Any) -> str:
    """Return what the reference says of a public name.

    What was written for a class or a function comes from its docstring, once, and elsewhere a
    link leads there; of a table of names the names are shown, of another value the value.
    """
    home = getattr(value, "__module__", "") or ""
    if callable(value) and home.partition(".")[0] == module.partition(".")[0]:
        return _documented(value, f"reference/{module}.md", heading=f"{module}.{name}")
    if isinstance(value, Mapping):
        said = "A table of what has a name: " + ", ".join(f"`{key}`" for key in value) + "."
    elif isinstance(value, tuple):
        said = "One of " + ", ".join(f"`{key}`" for key in value) + "."
    else:
        shown = re.sub(r"\b[a-z_]+\.(?=[a-zA-Z_])", "", str(value))
        said = f"`{shown}`"
    return f"## {module}.{name}\n\n{said}"


def _documented(value: Any, page: str, heading: str) -> str:
    """Return where mkdocstrings puts the docstring of a class or function, or a link to it.

    Args:
      value: the class or function.
      page: that is being written.
      heading: to stand above it.
    """
    where = f"{value.__module__}.{value.__qualname__}"
    if where in _written:
        return f"## {heading}\n\nThe same as [`{where}`][{where}]."
    _written[where] = page
    return f"::: {where}\n    options:\n      heading: {heading}"


def names() -> str:
    """Return the page of everything that has a name, as `discovery list` has it."""
    from discovery.cli import listing

    kept: list[dict[str, dict[str, str]]] = []
    shown = listing.show_json
    try:
        listing.show_json = kept.append  # type: ignore[assignment]
        listing.show(as_json=True)
    finally:
        listing.show_json = shown
    parts = ["# Names", "Everything that is asked for by a name, as `discovery list` has it."]
    for title, entries in kept[0].items():
        rows = [(f"`{name}`", _cell(about)) for name, about in entries.items()]
        parts += [f"## {title.capitalize()}", _table(("name", "what it is"), rows)]
    return "\n\n".join(parts) + "\n"


def command() -> str:
    """Return the page of the command: every subcommand with its options."""
    from discovery.cli.app import app

    root = typer.main.get_command(app)
    parts = [
        "# The command",
        "What `discovery COMMAND --help` says, on one page. Exit status 0 is success, 2 a wrong "
        "request with nothing written, 1 a failure in the work.",
    ]
    for words, one in _commands(root, "discovery"):
        text = inspect.cleandoc(one.help or "")
        parts += [f"## `{words}`", re.sub(r"(?m)^Example: (.*)$", r"Example: `\1`", _plain(text))]
        if rows := [_parameter(parameter) for parameter in one.params]:
            parts.append(_table(("", "what it says"), rows))
    return "\n\n".join(parts) + "\n"


def _commands(one: Any, words: str) -> Iterator[tuple[str, Any]]:
    for name, below in getattr(one, "commands", {}).items():
        if hasattr(below, "commands"):
            yield from _commands(below, f"{words} {name}")
        else:
            yield f"{words} {name}", below


def _parameter(one: Any) -> tuple[str, str]:
    argument = one.param_type_name == "argument"
    shown = one.name.upper() if argument else ", ".join([*one.opts, *one.secondary_opts])
    default = one.show_default if isinstance(one.show_default, str) else one.default
    simple = isinstance(default, str | int | float) and not isinstance(default, bool)
    said = f" Default: {_cell(str(default))}." if simple and default != "" else ""
    needed = " Needed." if one.required else ""
    return f"`{shown}`", _cell(getattr(one, "help", "") or "") + needed + said


def _plain(text: str) -> str:
    return text.replace("<", "&lt;")


def _cell(text: str) -> str:
    """Return a line of help as the cell of a table."""
    held = [
        part if part.startswith("`") else re.sub(r"([|*_<\\])", r"\\\1", part)
        for part in re.split(r"(`[^`]*`)", " ".join(text.split()))
    ]
    return "".join(held)


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
