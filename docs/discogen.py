"""Measure the base loss on the problems of the DiscoGen domain, as its `main.py` does.

python docs/discogen.py              # those that are not measured yet
python docs/discogen.py TokenBandit  # of this task
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from discovery.judging import discogen

HELD = Path(discogen.__file__).parent / "domain" / "baselines.json"


def measured(root: Path, name: str) -> float:
    """Return the mean return that a problem's program prints, all modules as they are given."""
    own = root / "tried" / name
    domain = root / "domains" / discogen.DOMAIN
    templates = domain / "templates" / "default"
    own.mkdir(parents=True)
    for path in (*(domain / "datasets" / name).glob("*.py"), *templates.glob("**/*.py")):
        if path.parent.name != "edit":
            (own / path.name).write_text(path.read_text())
    done = subprocess.run(
        [sys.executable, own / "main.py"], check=True, capture_output=True, text=True
    )
    printed = [line for line in done.stdout.splitlines() if line.startswith("{")]
    score: float = json.loads(printed[-1])["return_mean"]
    return score


def main() -> None:
    """Measure one after the other, and keep each."""
    with tempfile.TemporaryDirectory() as folder:
        discogen.write(Path(folder))
        for problem in discogen.problems():
            held = discogen.baselines()
            if problem.name not in held and problem.name.startswith(tuple(sys.argv[1:]) or ""):
                held[problem.name] = measured(Path(folder), problem.name)
                HELD.write_text(json.dumps(held, indent=1) + "\n")
                print(problem.name, held[problem.name], flush=True)


if __name__ == "__main__":
    main()
