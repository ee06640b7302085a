"""The documentation site: it is built without a warning, every link of it leads somewhere, and no
page asks another host for anything."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
WRITTEN = sorted(path for path in DOCS.rglob("*.md") if not path.is_relative_to(DOCS / "results"))
LOADING = {
    ("link", "href"), ("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"),
    ("video", "src"), ("audio", "src"), ("object", "data"), ("embed", "src"), ("img", "srcset"),
}  # fmt: skip
"""What a browser fetches by itself, by tag and attribute."""
SAYS, FETCHES = (
    {"canonical", "prev", "next", "alternate"},
    re.compile(r"""url\(\s*["']?((?:https?:)?//[^"')]+)|@import\s+["']((?:https?:)?//[^"']+)"""),
)


class Parsed(HTMLParser):
    """A page: its anchors, where its links lead, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors, self.links, self.loaded = set[str](), set[str](), set[str]()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "a" and given.get("href"):
            self.links.add(given["href"])
        told = tag == "link" and SAYS & {*(given.get("rel") or "").split()}
        if not told:
            self.loaded |= {v for n, v in attributes if (tag, n) in LOADING and v}
        self.loaded |= {a or b for a, b in FETCHES.findall(given.get("style") or "")}


def elsewhere(address: str) -> bool:
    return bool(urlsplit(address).netloc)


@pytest.mark.parametrize("page", WRITTEN, ids=lambda path: str(path.relative_to(DOCS)))
def test_pages_can_be_read_in_the_repository_too(page):
    """Their links are to files of the repository; the site's build leads them elsewhere."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    links = re.findall(r"\]\(([^)#\s]*[./][^)#\s]*)[^)]*\)", text)
    assert not [one for one in links if not elsewhere(one) and not (page.parent / one).exists()]


def test_the_index_has_every_page_that_is_written():
    told = (DOCS / "README.md").read_text()
    papers = {*(DOCS / "papers").glob("*.md")} - {DOCS / "papers" / "index.md"}
    inside = (DOCS / "papers" / "index.md").read_text()
    assert all(f"({path.name})" in inside for path in papers)
    others = {*WRITTEN} - papers - {DOCS / "README.md"}
    assert not [path for path in others if f"({path.relative_to(DOCS)})" not in told]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Return the folder of the site, built strictly: a warning is an error."""
    pytest.importorskip("mkdocs", reason="needs the [docs] extra")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.llm
def test_links_and_anchors_lead_somewhere_and_nothing_is_loaded_from_elsewhere(site):
    pages = {path: Parsed(path.read_text()) for path in site.rglob("*.html")}
    assert len(pages) > 50
    gone, fetched = [], []
    for path, page in pages.items():
        fetched += [(path.name, one) for one in page.loaded if elsewhere(one)]
        for link in page.links | page.loaded:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or path.name == "404.html":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            known = pages[target].anchors if target in pages else {parts.fragment}
            if not target.exists() or (parts.fragment and unquote(parts.fragment) not in known):
                gone.append((path.name, link))
    for path in site.rglob("*.css"):
        fetched += [(path.name, one) for one in FETCHES.findall(path.read_text())]
    assert not gone
    assert not fetched
