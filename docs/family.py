"""Put which point of the wide family each loss is into docs/family.md, below what is said of it.

python docs/family.py
"""

from pathlib import Path

from discovery.cli.family import said
from discovery.evidence.markdown import table

PAGE = Path(__file__).resolve().parent / "family.md"
MARK = "<!-- Below this line is what `python docs/family.py` writes. -->"


def points() -> str:
    """Return the table of losses and points."""
    return table(("loss", "point"), [(f"`{name}`", point) for name, point in said().items()])


def main() -> None:
    """Write the page."""
    own = PAGE.read_text().partition(MARK)[0]
    PAGE.write_text(f"{own}{MARK}\n\n{points()}\n")


if __name__ == "__main__":
    main()
