"""`python -m envs.language FOLDER`: pretrain the writers, and write them there."""

import sys
from pathlib import Path

from envs.language import pretraining


def _report(name: str, done: int, steps: int, loss: float) -> None:
    if done % 50 == 0:
        print(f"{name}: {done} of {steps} steps, {loss:.3f} nats a token", flush=True)


if __name__ == "__main__":
    for name, path in pretraining.make(Path(sys.argv[1]), _report).items():
        print(f"{name}: {path}")
