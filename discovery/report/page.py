"""What a report is before it is written: a title, and Markdown whose figures are beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from discovery import markdown


@dataclass(frozen=True)
class Page:
    """A report.

    Attributes:
      title: of it.
      parts: blocks of Markdown; the paths of figures are relative to `folder`.
      folder: what it is about.
      finished: whether that has ended; if not, the page says so.
    """

    title: str
    parts: Sequence[str]
    folder: Path
    finished: bool

    def markdown(self, prefix: str = "") -> str:
        """Return it as Markdown, with `prefix` before the path of every figure."""
        text = "\n\n".join((f"# {markdown.escaped(self.title)}", *self.parts)) + "\n"
        return text.replace("](<", f"](<{prefix}")  # of figures: elsewhere "<" is escaped


def figures(folder: Path, captions: dict[str, str]) -> dict[str, str]:
    """Return a line of Markdown for each figure that is in `folder`, by its name.

    Args:
      folder: of the run or evaluation; pictures are in its folder `figures`.
      captions: of those that have one; others are called by their name.
    """
    found = sorted(path.name for path in (folder / "figures").glob("*.png"))
    return {
        name: markdown.figure(captions.get(name, name.removesuffix(".png")), f"figures/{name}")
        for name in found
    }
