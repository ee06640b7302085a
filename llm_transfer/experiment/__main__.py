"""`python -m llm_transfer.experiment`: the same as `discovery finetune`."""

import sys

from discovery.cli import main

if __name__ == "__main__":
    sys.exit(main(["finetune", *sys.argv[1:]]))
