"""Do faults to the package, and put into docs/reliability.md what became of them.

python docs/reliability.py            # all of them, some minutes; docs/results/reliability
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
TRIALS = 400


def said() -> str:
    """Return the table of the kept results."""
    return markdown(of_plain(json.loads(RESULTS.read_text())))


def main() -> int:
    """Measure; the status is 1 where something surprised."""
    asked = sys.argv[1:]
    trials, parts = int(asked[0]) if asked else TRIALS, tuple(asked[1:]) or PARTS
    discovery.start()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for row in measure(Path(folder), trials, parts):
            print(f"{row.fault}: {row.trials} trials, {len(row.surprises)} surprises", flush=True)
            rows.append(row)
    if not asked:
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(json.dumps(plain(rows), indent=1) + "\n")
        PAGE.write_text(f"{PAGE.read_text().partition(MARK)[0]}{MARK}\n\n{said()}\n")
    else:
        print(markdown(rows))
    return int(any(row.surprises for row in rows))


if __name__ == "__main__":
    sys.exit(main())
