"""A recipe: the lines by which a trainer takes a loss, made for what its formula reads."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from llm_transfer.snippets.function import WIDTH, statement
from llm_transfer.snippets.header import commented, facts
from mpo.errors import RequestError
from mpo.expressions import Expression

_WORDS: Final = {
    "reward": "rewards",
    "ref_logp": "log-probabilities under a reference",
    "credit": "credit, and is for responses that are written in training",
    "sampled_logp": "who wrote the responses, and is for those that are written in training",
    "progress": "how far training is",
}


@dataclass(frozen=True)
class Recipe:
    """How one trainer takes a loss.

    Attributes:
      name: what `discovery export --to` calls it.
      trainer: its name, in words.
      use: what to do with the file.
      tried: versions, and what was run.
      imports: lines that go to the others at the top.
      glue: the lines below the loss, for a formula.
      refuse: why this trainer can't use the function `loss` of a formula, or none.
    """

    name: str
    trainer: str
    use: Callable[[Expression], str]
    tried: str
    imports: tuple[str, ...]
    glue: Callable[[Expression], str]
    refuse: Callable[[Expression, str], str | None] = lambda formula, program: None

    def write(self, formula: Expression, program: str) -> str:
        """Return the program of the loss with what the trainer needs.

        Raises:
          RequestError: the formula reads what the trainer has not.
        """
        glue = self.glue(formula)
        if why := self.refuse(formula, program):
            raise RequestError(f"objective {formula.name!r} {why}")
        imports, _, function = program.partition("\n\n\n")
        lines = "\n".join((*imports.splitlines(), *self.imports))
        short = "\n".join(line for long in glue.strip().splitlines() for line in _short(long))
        return f"{lines}\n\n\n{function}\n\n{short}\n"

    def notes(self, formula: Expression) -> str:
        """Return what stands in the header: how it is used, and what it was tried with."""
        return commented(facts([("recipe", self.use(formula)), ("tried", self.tried)]), "#")


def _short(line: str) -> Iterator[str]:
    """Yield a line, as several if it is long and says `return …` or `each = …`."""
    text = line.lstrip()
    indent = line[: len(line) - len(text)]
    prefix = next((one for one in ("each = ", "return ") if text.startswith(one)), None)
    if len(line) <= WIDTH or prefix is None:
        yield line
        return
    for part in statement(prefix, text.removeprefix(prefix), WIDTH - len(indent)):
        yield indent + part


def call(formula: Expression, trainer: str, given: Mapping[str, str]) -> str:
    """Return the text that calls `loss` with what a trainer gives.

    Args:
      formula: whose inputs are asked for.
      trainer: its name, for the message.
      given: text of the inputs that there are; both sides are named alike, but for "w" and "l".

    Raises:
      RequestError: the formula reads what the trainer has not.
    """
    for name in formula.inputs:
        if name not in given:
            words = _WORDS[name.removesuffix("_w").removesuffix("_l")]
            raise RequestError(
                f"objective {formula.name!r} reads {words}, which {trainer} does not pass on: "
                "export it to torch, or train with MPOTrainer or PreferenceTrainer"
            )
    return f"loss({', '.join(given[name] for name in formula.inputs)})"


def both(**texts: str) -> dict[str, str]:
    """Return texts of both sides, from those in which * stands for "w" or "l"."""
    return {
        f"{name}_{side}": text.replace("*", side) for name, text in texts.items() for side in "wl"
    }
