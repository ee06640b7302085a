"""Put what docs/results/leaderboard holds into docs/leaderboard.md, below what is said of it.

python docs/board.py
"""

import re
from pathlib import Path

from discovery.leaderboard import page
from discovery.leaderboard.board import board
from discovery.leaderboard.making import Results

DOCS = Path(__file__).resolve().parent
RESULTS, PAGE = DOCS / "results" / "leaderboard", DOCS / "leaderboard.md"
MARK = "<!-- Below this line is what `python docs/board.py` writes. -->"


def measured() -> str:
    """Return the measured part of the page, its figures drawn anew."""
    made = page.page(board(), Results(RESULTS))
    text = made.markdown("results/leaderboard/").partition("\n\n")[2]
    return re.sub(r"\]\(<([^>]+)>\)", r"](\1)", text)


def main() -> None:
    """Write the page, and the one with every cell in full beside the results."""
    full = page.details(board(), Results(RESULTS))
    (RESULTS / "details.md").write_text(full.markdown())
    said = PAGE.read_text().partition(MARK)[0]
    PAGE.write_text(f"{said}{MARK}\n\n{measured()}")


if __name__ == "__main__":
    main()
