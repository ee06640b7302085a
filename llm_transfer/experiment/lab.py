"""What all cells of an experiment share: rows, tokenizer, base model, weak and base responses."""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from llm_transfer.experiment import sources
from llm_transfer.experiment import sources as faults
from llm_transfer.experiment.environment import cannot_load
from llm_transfer.experiment.judges import Judge, judge
from llm_transfer.experiment.sampling import Sampler, said, sample
from llm_transfer.experiment.settings import TINY, Settings
from llm_transfer.trainers.collator import PreferenceCollator
from llm_transfer.trainers.reference import with_reference
from llm_transfer.trainers.rows import Row, prepare, tokenize
from mpo import treefile
from mpo.errors import RequestError

WEAK_SEED = 12345  # of the weaker model's samples, which are drawn once


class Lab:
    """Loads and computes what cells need, once, when it is first asked for."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings, self.folder = settings, folder
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.sampler = Sampler(settings.new_tokens, settings.sample_batch, settings.stop)
        self._base_samples: dict[tuple[str, int], list[list[int]]] = {}
        self._held_out: dict[str, list[dict[str, Any]]] = {}

    def load(self) -> None:
        """Load what cells need, and try it on a row, so that a fault is known before they run.

        Raises:
          RequestError: something can't be loaded, or does not fit the rest.
        """
        row = self.splits.train[0]
        tokenize(row, self.tokenizer)
        self.sampler.ends(self.tokenizer)
        if self.judge is not None:
            self.judge([row["prompt"]], [row["chosen"]])
        if self.settings.shuffled:
            self._tokenizer("weak")
        _ = self.base

    @cached_property
    def splits(self) -> sources.Splits:
        """The rows without a fault."""
        return sources.load(self.settings)

    @cached_property
    def judge(self) -> Judge | None:
        """The judge, if there is one."""
        return judge(self.settings.judging, self.device)

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer of the model."""
        return self._tokenizer("base")

    @cached_property
    def base(self) -> Any:
        """The model before fine-tuning: the reference, and what a win is over."""
        return self.policy().eval().requires_grad_(False)

    @cached_property
    def paths(self) -> dict[str, str]:
        """Where the model and its weaker sibling are loaded from."""
        settings = self.settings
        if settings.model != TINY:
            return {"base": settings.model, "weak": settings.weak_model or ""}
        from llm_transfer import language

        tiny = language.models(settings.scale)
        return {"base": str(tiny.base), "weak": settings.weak_model or str(tiny.weak)}

    def policy(self) -> Any:
        """Return the model anew, to be fine-tuned."""
        return self._model("base")

    def training_rows(self, seed: int) -> Sequence[Row]:
        """Return the rows of a seed, with the fault."""
        settings, rows = self.settings, self.splits.train
        if not settings.shuffled:
            return rows
        faulty = faults.replaced(rows, self._weak_responses, settings.shuffled, seed)
        if settings.relabel and self.judge is not None:
            return faults.relabelled(faulty, self.judge)
        return faulty

    def held_out(self, split: str) -> list[dict[str, Any]]:
        """Return the tokenized rows of a split, with log-probabilities under the base model."""
        if split not in self._held_out:
            rows = prepare(getattr(self.splits, split), self.tokenizer, self.settings.max_length)
            self._held_out[split] = self.referenced(rows)
        return self._held_out[split]

    def referenced(self, rows: list[Row]) -> list[dict[str, Any]]:
        """Return tokenized rows with log-probabilities under the base model."""
        collator = PreferenceCollator.of(self.tokenizer, self.settings.max_length)
        return with_reference(rows, self.base, collator)

    def prompts(self, split: str) -> list[Any]:
        """Return the prompts to sample responses to."""
        return [row["prompt"] for row in getattr(self.splits, split)]

    def base_samples(self, split: str, seed: int) -> list[list[int]]:
        """Return the base model's responses."""
        key = (split, seed)
        if key not in self._base_samples:
            self._base_samples[key] = sample(
                self.base, self.tokenizer, self.prompts(split), seed, self.sampler
            )
        return self._base_samples[key]

    @cached_property
    def _weak_responses(self) -> list[tuple[Any, Any]]:
        """Two responses of the weaker model to each prompt, kept in the folder."""
        path = self.folder / "weak_responses.jsonl"
        prompts = [row["prompt"] for row in self.splits.train]
        if path.exists():
            found = [tuple(json.loads(line)) for line in path.read_text().splitlines()]
            if len(found) == len(prompts):
                return found
        model, tokenizer = self._model("weak").eval(), self._tokenizer("weak")
        drawn = sample(model, tokenizer, 2 * prompts, WEAK_SEED, self.sampler)
        texts = [said(p, ids, tokenizer) for p, ids in zip(2 * prompts, drawn, strict=True)]
        pairs = list(zip(texts[: len(prompts)], texts[len(prompts) :], strict=True))
        treefile.replace(path, "".join(json.dumps(pair) + "\n" for pair in pairs).encode())
        return pairs

    def _model(self, which: str) -> Any:
        from transformers import AutoModelForCausalLM

        name, dtype = self.paths[which], self.settings.dtype
        try:
            model: Any = AutoModelForCausalLM.from_pretrained(name, dtype=dtype)
        except (OSError, ValueError) as error:
            raise cannot_load("the model", name, error) from error
        return model.to(self.device)

    def _tokenizer(self, which: str) -> Any:
        tokenizer = _loaded_tokenizer(self.paths[which])
        if (template := self.settings.template) is not None:
            path = Path(template)
            text = path.read_text() if path.is_file() else _loaded_tokenizer(template).chat_template
            if text is None:
                raise RequestError(f"{template!r} has no chat template")
            tokenizer.chat_template = text
        return tokenizer


def _loaded_tokenizer(name: str) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise cannot_load("the tokenizer of", name, error) from error
