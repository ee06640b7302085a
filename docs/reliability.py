"""Do faults to the package, and put into docs/reliability.md what became of them.

python docs/reliability.py            # all that docs/results/reliability has not; go on likewise
python docs/reliability.py 8 kills    # fewer trials, and parts alone: printed and not kept
"""

import json
import sys
import tempfile
from pathlib import Path

import discovery
from benchmarks.faults.table import PARTS, markdown, measure, of_plain, plain

PAGE = Path(__file__).resolve().parent / "reliability.md"
RESULTS = PAGE.parent / "results" / "reliability" / "faults.json"
MARK = "<!-- Below this line is what `python docs/reliability.py` writes. -->"
TRIALS = 160


def said() -> str:
    """Return the table of the kept results."""
    held = json.loads(RESULTS.read_text())
    return markdown([row for part in PARTS if part in held for row in of_plain(held[part])])


def main() -> int:
    """Measure; the status is 1 where something surprised."""
    asked = sys.argv[1:]
    trials, parts = int(asked[0]) if asked else TRIALS, tuple(asked[1:]) or PARTS
    discovery.start()
    held = json.loads(RESULTS.read_text()) if RESULTS.exists() and not asked else {}
    for part in parts:
        if part in held:
            continue
        with tempfile.TemporaryDirectory() as folder:
            rows = list(measure(Path(folder), trials, (part,)))
        print(markdown(rows), flush=True)
        held[part] = plain(rows)
        if not asked:
            RESULTS.parent.mkdir(parents=True, exist_ok=True)
            RESULTS.write_text(json.dumps(held, indent=1) + "\n")
            PAGE.write_text(f"{PAGE.read_text().partition(MARK)[0]}{MARK}\n\n{said()}\n")
    return int(any(row["surprises"] for rows in held.values() for row in rows))


if __name__ == "__main__":
    sys.exit(main())
