"""The two models of the small language, made once and kept in the cache."""

import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import llm_transfer.language.pretrain as pretraining
from envs.data import cache_folder
from llm_transfer.language.lexicon import tokenizer
from llm_transfer.language.recipes import SCALES, Recipe
from mpo.errors import RequestError, unknown

Report = Callable[[str, int, int, float], None]
VERSION: Final = 1  # of the language: raise it where its words, texts or judge change
FAMILY: Final = ("base", "weak")


@dataclass(frozen=True)
class Models:
    """Folders that `from_pretrained` loads.

    Attributes:
      base: the model to fine-tune.
      weak: its weaker sibling, smaller and brought up on worse texts.
    """

    base: Path
    weak: Path


def models(
    scale: str = "small", folder: Path | None = None, report: Report | None = None
) -> Models:
    """Return the models of a scale, which are trained unless the cache has them.

    Two processes that ask at once may both train them; they make the same, and one is kept.

    Args:
      scale: a name of `SCALES`.
      folder: where to keep them instead of the cache.
      report: is called with the model's name, steps done, steps in all, and the loss.

    Raises:
      RequestError: there is no such scale, or the cache can't be written to.
    """
    if scale not in SCALES:
        raise unknown("scale of the language", scale, SCALES)
    root = folder or cache_folder().parent / "language"
    found = {name: _made(name, SCALES[scale][name], root, report) for name in FAMILY}
    return Models(**found)


def _made(name: str, recipe: Recipe, root: Path, report: Report | None) -> Path:
    about = {"version": VERSION, "recipe": dataclasses.asdict(recipe)}
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:12]
    path = root / f"{name}-{digest}"
    if (path / "about.json").exists():
        return path
    try:
        root.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=root))
    except OSError as error:
        raise RequestError(
            f"cannot write to the cache {root}: {error.strerror}; set $DISCOVERY_CACHE to a folder "
            "that can be written to"
        ) from error
    try:
        _save(recipe, partial, None if report is None else _of(name, report))
        (partial / "about.json").write_text(json.dumps(about, indent=2))
        _publish(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return path


def _save(recipe: Recipe, folder: Path, report: pretraining.Report | None) -> None:
    words = tokenizer()
    pretraining.pretrain(recipe, words, report).save_pretrained(folder)
    words.save_pretrained(folder)


def _of(name: str, report: Report) -> pretraining.Report:
    return lambda done, steps, loss: report(name, done, steps, loss)


def _publish(partial: Path, path: Path) -> None:
    """Move a finished model into place whole; what an interruption left there is replaced."""
    try:
        os.replace(partial, path)
    except OSError:
        if (path / "about.json").exists():
            return
        shutil.rmtree(path, ignore_errors=True)
        os.replace(partial, path)
