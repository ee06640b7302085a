"""The two models of the small language, made once and kept in the cache.

Each scale has recipes that it is trained by; of the scale "shipped" they are writers of the task
`language`, whose weights come with the package."""

import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import llm_transfer.language.pretrain as pretraining
from envs.data import cache_folder
from llm_transfer.language.recipes import SCALES, SHIPPED, Recipe
from llm_transfer.language.vocabulary import tokenizer
from mpo.errors import RequestError, unknown

Report = Callable[[str, int, int, float], None]
VERSION: Final = 1  # of the language: raise it where its words, texts or judge change
FAMILY: Final = ("base", "weak")
WRITERS: Final = {"base": "base", "weak": "poor"}
"""Writers of the task `language` by their part in the scale "shipped"."""


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
      scale: a name of `SCALES`, or "shipped".
      folder: where to keep them instead of the cache.
      report: is called with the model's name, steps done, steps in all, and the loss.

    Raises:
      RequestError: there is no such scale, or the cache can't be written to.
    """
    root = folder or cache_folder().parent / "language"
    if scale == SHIPPED:
        return Models(**{name: _shipped(name, WRITERS[name], root) for name in FAMILY})
    if scale not in SCALES:
        raise unknown("scale of the language", scale, (*SCALES, SHIPPED))
    found = {name: _trained(name, SCALES[scale][name], root, report) for name in FAMILY}
    return Models(**found)


def _trained(name: str, recipe: Recipe, root: Path, report: Report | None) -> Path:
    told = None if report is None else _of(name, report)
    about = {"recipe": dataclasses.asdict(recipe)}
    return _made(name, about, root, lambda: pretraining.pretrain(recipe, tokenizer(), told))


def _shipped(name: str, writer: str, root: Path) -> Path:
    from envs.data.recipe import Author
    from envs.language import Language
    from llm_transfer.language.writers import as_gpt2

    task = Language()
    params = task.agent(writer)
    about = {"writer": dataclasses.asdict(Author.of(writer, params))}
    return _made(name, about, root, lambda: as_gpt2(params, task.policy))


def _made(name: str, about: dict[str, Any], root: Path, model: Callable[[], Any]) -> Path:
    about = {"version": VERSION, **about}
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
        model().save_pretrained(partial)
        tokenizer().save_pretrained(partial)
        (partial / "about.json").write_text(json.dumps(about, indent=2))
        _publish(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return path


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
