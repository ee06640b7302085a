"""What a trainer costs beside the ones TRL ships: seconds and memory of an update, as ratios.

python -m benchmarks.language_model [--json] [--rounds N] [--steps N] [--vocabulary V …]

Each figure is of a process of its own, started in turn, round by round; the fastest round and
the lowest peak count. Seconds are those of the processor, which other work on the machine takes
few of. The peak is what training adds to a process that has its models already.
"""

import argparse
import functools
import importlib.util
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.measuring import child, forget_peak, peak_memory

PAIRS = 8  # in an update
_PAGE: Final = 4096 / 2**20
"""MiB, which is what is said where training fits in memory that was there before."""

SMALL, LARGE = 106, 32_768  # the words of the small language; as many as a real tokenizer has


def _shipped_dpo(common: dict[str, Any], rows: Any) -> Any:
    from trl import DPOConfig, DPOTrainer

    args = DPOConfig(**common, activation_checkpointing=False)
    return built(DPOTrainer, args, rows)


def _shipped_orpo(common: dict[str, Any], rows: Any) -> Any:
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    return built(ORPOTrainer, ORPOConfig(**common, activation_checkpointing=False), rows)


def _ours_on_trl(loss: str) -> Callable[..., Any]:
    def make(common: dict[str, Any], rows: Any) -> Any:
        from trl import DPOConfig

        from llm_transfer.trainers import MPOTrainer

        args = DPOConfig(**common, activation_checkpointing=False)
        return built(MPOTrainer, args, rows, loss=loss)

    return make


def ours(loss: str, optim: str = "adamw_torch") -> Callable[..., Any]:
    def make(common: dict[str, Any], rows: Any) -> Any:
        from transformers import TrainingArguments

        from llm_transfer.trainers import PreferenceTrainer

        args = TrainingArguments(**common, optim=optim)
        return built(PreferenceTrainer, args, rows, loss=loss)

    return make


TRAINERS = {
    "DPOTrainer (TRL)": _shipped_dpo,
    "MPOTrainer, dpo": _ours_on_trl("dpo"),
    "ORPOTrainer (TRL)": _shipped_orpo,
    "MPOTrainer, orpo": _ours_on_trl("orpo"),
    "PreferenceTrainer, orpo": ours("orpo"),
}
"""Trainers to be compared, as functions of the arguments of all and the rows."""


def built(kind: Any, args: Any, rows: Any, **others: Any) -> Any:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = Path(args.output_dir) / "model"
    model, words = (auto.from_pretrained(folder) for auto in (AutoModelForCausalLM, AutoTokenizer))
    return kind(model, args=args, train_dataset=rows, processing_class=words, **others)


def small_llama(folder: Path, vocabulary: int) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from llm_transfer import language

    torch.manual_seed(0)
    words = language.tokenizer()
    config = LlamaConfig(
        vocab_size=max(vocabulary, len(words)),
        hidden_size=96,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=128,
        bos_token_id=None,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    words.save_pretrained(folder)


def one(
    make: Callable[..., Any], vocabulary: int, steps: int, pairs: int = PAIRS
) -> dict[str, float]:
    """Return seconds of an update, and the peak of memory in MiB that training adds."""
    import torch
    import transformers
    from datasets import Dataset, disable_progress_bars

    from llm_transfer import language

    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    disable_progress_bars()
    rows = Dataset.from_list([dict(r) for r in language.preferences(pairs * (steps + 2), "train")])
    times: list[float] = []

    class Clock(transformers.TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            times.append(time.process_time())

        on_prediction_step = on_step_end  # of an evaluation

    with tempfile.TemporaryDirectory() as folder:
        small_llama(Path(folder) / "model", vocabulary)
        common = {
            "output_dir": folder,
            "per_device_train_batch_size": pairs,
            "per_device_eval_batch_size": pairs,
            "max_steps": steps + 2,
            "save_strategy": "no",
            "logging_strategy": "no",
            "report_to": "none",
            "use_cpu": True,
            "bf16": False,
            "disable_tqdm": True,
        }
        trainer = make(common, rows)
        trainer.add_callback(Clock())
        trainer.remove_callback(transformers.trainer_callback.PrinterCallback)
        forget_peak()
        before = _in_mib(peak_memory())
        trainer.train()
    taken = [b - a for a, b in itertools.pairwise(times[1:])]
    return {"seconds": min(taken), "peak": max(_in_mib(peak_memory()) - before, _PAGE)}


def _in_mib(memory: float | None) -> float:
    if memory is None:
        raise RuntimeError("this system does not tell the peak memory of a process")
    return memory / 2**20


def measure(vocabularies: list[int], steps: int, rounds: int) -> dict[str, dict[str, float]]:
    """Return the fastest and leanest round of every trainer, for each size of vocabulary."""
    found: dict[str, dict[str, float]] = {}
    for name, vocabulary in _turns(vocabularies, rounds):
        asked = ("--one", name, "--vocabulary", str(vocabulary), "--steps", str(steps))
        values = apart("benchmarks.language_model", *asked)
        key = f"{name}, {vocabulary:,} words"
        best = found.setdefault(key, values)
        found[key] = {figure: min(best[figure], values[figure]) for figure in values}
    return found


def apart(module: str, *arguments: str) -> dict[str, float]:
    """Return what a module prints in a process of its own.

    Freed blocks go back at once there, so that a peak is of what was needed.
    """
    alone = {
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "MALLOC_MMAP_THRESHOLD_": "1000000",
    }
    command = (sys.executable, "-m", module, *arguments)
    ran = subprocess.run(command, capture_output=True, text=True, env=child(alone), check=True)
    found: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return found


def _turns(vocabularies: list[int], rounds: int) -> Iterator[tuple[str, int]]:
    for _ in range(rounds):
        for vocabulary in vocabularies:
            for name in TRAINERS:
                if name != "ORPOTrainer (TRL)" or _has_orpo():
                    yield name, vocabulary


@functools.cache
def _has_orpo() -> bool:
    """Return whether TRL still has the trainer: it may go in any release."""
    return importlib.util.find_spec("trl.experimental.orpo") is not None


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--vocabulary", type=int, nargs="+", default=[SMALL, LARGE])
    parser.add_argument("--one", choices=list(TRAINERS), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(one(TRAINERS[asked.one], asked.vocabulary[0], asked.steps)))
        return
    found = measure(asked.vocabulary, asked.steps, asked.rounds)
    rows = {
        key: {
            "ms per update": 1e3 * values["seconds"],
            "x DPOTrainer": values["seconds"] / dpo["seconds"],
            "peak MiB": values["peak"],
            "peak x DPOTrainer": values["peak"] / dpo["peak"],
        }
        for key, values in found.items()
        for dpo in [found["DPOTrainer (TRL), " + key.rsplit(", ", 1)[1]]]
    }
    if asked.json:
        print(json.dumps(rows, indent=2))
        return
    import torch
    import trl

    print(
        f"{PAIRS} pairs an update, one CPU thread; torch {torch.__version__}, trl {trl.__version__}"
    )
    columns = list(next(iter(rows.values())))
    print(f"{'':45s}" + "".join(f"{column:>20s}" for column in columns))
    for key, row in rows.items():
        print(f"{key:45s}" + "".join(f"{row[column]:20.3g}" for column in columns))


if __name__ == "__main__":
    main()
