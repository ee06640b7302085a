"""What language models need in memory beside themselves to be trained with and without gradients.

    python -m benchmarks.forward_only WAY VOCABULARY PAIRS

trains a model of the small language by a way of `WAYS` in this process, and prints JSON.
"""

import importlib.util
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.language_model import LARGE, SMALL, apart, built, one, ours
from benchmarks.measuring import Row, Skipped, Table
from benchmarks.workload import Workload

LOSS, STEPS = "orpo", 3
SIZES = ((SMALL, 64), (LARGE, 8))
"""Words and pairs in an update: where activations are most of the memory, and where weights are."""


def _inference(common: dict[str, Any], rows: Any) -> Any:
    from transformers import TrainingArguments

    from llm_transfer.trainers import PreferenceTrainer

    class Inference(PreferenceTrainer):
        def train(self) -> Any:
            return self.evaluate(self.train_dataset)

    return built(Inference, TrainingArguments(**common), rows, loss=LOSS)


def _forward_only(restore: str, guided: bool = False) -> Callable[..., Any]:
    def make(common: dict[str, Any], rows: Any) -> Any:
        import torch
        from transformers import TrainingArguments

        from llm_transfer.trainers import ForwardOnly, Guide, Perturbation, PreferenceTrainer

        class Trainer(ForwardOnly, PreferenceTrainer):
            def train(self) -> Any:
                if guided:
                    named = dict(self.model.named_parameters())
                    ways = ({n: torch.randn_like(w) for n, w in named.items()} for _ in range(2))
                    self._guide = Guide(*ways)
                return super().train()

        args = TrainingArguments(**common)
        how = Perturbation(restore=restore)
        return built(Trainer, args, rows, loss=LOSS, perturbation=how)

    return make


WAYS: Mapping[str, Callable[..., Any]] = {
    "inference": _inference,
    "forward only, in place": _forward_only("in_place"),
    "forward only": _forward_only("exact"),
    "forward only, guided": _forward_only("exact", guided=True),
    "gradients, SGD": ours(LOSS, "sgd"),
    "gradients, AdamW": ours(LOSS),
}


def memory(work: Workload) -> Table:
    """Train by every way in a process of its own, at both sizes."""
    if importlib.util.find_spec("torch") is None:
        raise Skipped("torch is not installed: pip install 'preference-discovery[llm]'")
    rows: dict[str, Row] = {}
    for way in WAYS:
        row: dict[str, float] = {}
        for vocabulary, pairs in SIZES:
            found = apart("benchmarks.forward_only", way, str(vocabulary), str(pairs))
            row[f"MiB, {vocabulary:,} words, {pairs} pairs"] = found["peak"]
            row[f"ms, {vocabulary:,} words"] = 1e3 * found["seconds"]
        rows[way] = row
    return Table(
        f"peak memory beside a Llama of 3 layers, and processor time of an update of {LOSS}",
        rows,
        ("a process each, one thread; the guide's two ways are counted, the model is not",),
    )


if __name__ == "__main__":
    way, vocabulary, pairs = sys.argv[1:]
    print(json.dumps(one(WAYS[way], int(vocabulary), STEPS, int(pairs))))
