"""Who is told how a run goes: a terminal, a notebook, or a log where there is neither."""

import html
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

from typing_extensions import override

from discovery.evidence.statistics import number
from discovery.host.processes import same_everywhere
from discovery.host.stopping import Interrupted, Stop
from mpo.log import Line

_BAR: Final = 30
"""Characters of a bar in a notebook."""


class Watcher(ABC):
    """Is told how a run goes: lines for people, phases, and the numbers of each generation."""

    def say(self, text: str) -> None:
        """Take note of a line."""
        return

    def phase(self, text: str) -> None:
        """Take note of what the run does now."""
        return

    @abstractmethod
    def generation(self, line: Line) -> None:
        """Take note of a generation."""


@dataclass(frozen=True)
class Everyone(Watcher):
    """Passes everything on to each of several watchers."""

    watchers: Sequence[Watcher]

    @override
    def say(self, text: str) -> None:
        for watcher in self.watchers:
            watcher.say(text)

    @override
    def phase(self, text: str) -> None:
        for watcher in self.watchers:
            watcher.phase(text)

    @override
    def generation(self, line: Line) -> None:
        for watcher in self.watchers:
            watcher.generation(line)


@dataclass(frozen=True)
class Stopper(Watcher):
    """Ends a run before a phase, if it was asked to stop.

    Attributes:
      stop: called without arguments, returns whether the run is to end.
    """

    stop: Stop

    @override
    def phase(self, text: str) -> None:
        """End the run here, or let it go on.

        Raises:
          Interrupted: `stop` returned true.
        """
        if same_everywhere(self.stop()):
            raise Interrupted(f"stopped before {text}; the same command goes on")

    @override
    def generation(self, line: Line) -> None:
        """Do nothing: the search itself asks `stop` between generations."""
        return


@dataclass(frozen=True)
class Rates:
    """The work in a generation, from which speeds are computed.

    Attributes:
      generations: how many the whole run has.
      agents: how many are trained in a generation, probes included.
      steps: environment steps (or tokens) in which a generation's agents are measured, if no
        episode ends early.
    """

    generations: int
    agents: int
    steps: int

    def words(self, line: Line) -> str:
        """Say how a generation went, in a line."""
        split, mean, best = line["split"], line["mean"], line["best"]
        left = line["seconds"] / (line["generation"] + 1) * self.left(line)
        fitness = (
            "no finite fitness"
            if mean is None
            else f"fitness {number(mean)}, best {number(best)}, spread {number(line['spread'])}"
        )
        lost = f", {line['not_finite']} not finite" if line["not_finite"] else ""
        return (
            f"generation {line['generation'] + 1}/{self.generations}: {fitness}{lost}; "
            f"middle {number(line['middle'])}, start {number(line['start'])}; "
            f"{self.agents / max(split['train'], 1e-9):.1f} agents/s, "
            f"{self.steps / max(split['score'], 1e-9):,.0f} env steps/s, {_clock(left)} left"
        )

    def left(self, line: Line) -> int:
        """Return how many generations are to come."""
        return self.generations - line["generation"] - 1


@dataclass(frozen=True)
class Lines(Watcher):
    """Prints a line for everything, on stderr."""

    rates: Rates

    @override
    def say(self, text: str) -> None:
        """Print it."""
        print(text, file=sys.stderr, flush=True)

    @override
    def phase(self, text: str) -> None:
        """Print it."""
        self.say(text)

    @override
    def generation(self, line: Line) -> None:
        """Print how the generation went, and how long the rest will take."""
        self.say(self.rates.words(line))


class Terminal(Watcher):
    """A bar that stays in place, with the last generation below it."""

    def __init__(self, rates: Rates, stack: ExitStack) -> None:
        """Open the display, which `stack` closes."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

        columns = (
            SpinnerColumn(),
            TextColumn("{task.fields[phase]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[words]}"),
        )
        self._rates = rates
        self._bar = stack.enter_context(Progress(*columns, console=Console(stderr=True)))
        self._row = self._bar.add_task("", total=rates.generations, phase="preparing", words="")

    @override
    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(text, highlight=False, markup=False)

    @override
    def phase(self, text: str) -> None:
        """Show beside the bar what the run does now."""
        self._bar.update(self._row, phase=text)

    @override
    def generation(self, line: Line) -> None:
        """Move the bar, and show how the generation went."""
        words = self._rates.words(line).split(": ", 1)[1]
        self._bar.update(self._row, completed=line["generation"] + 1, words=words)


class Notebook(Watcher):
    """The same in the output of a notebook's cell, which is written over as the run goes on."""

    def __init__(self, rates: Rates) -> None:
        """Open the display."""
        from IPython.display import display

        self._rates, self._done = rates, 0
        self._said: list[str] = []
        self._phase, self._words = "preparing", ""
        self._display: Any = display(self._content(), raw=True, display_id=True)

    @override
    def say(self, text: str) -> None:
        """Show a line above the bar."""
        self._said.append(text)
        self._update()

    @override
    def phase(self, text: str) -> None:
        """Show beside the bar what the run does now."""
        self._phase = text
        self._update()

    @override
    def generation(self, line: Line) -> None:
        """Move the bar, and show how the generation went."""
        self._done = line["generation"] + 1
        self._words = self._rates.words(line).split(": ", 1)[1]
        self._update()

    def _update(self) -> None:
        self._display.update(self._content(), raw=True)

    def _content(self) -> dict[str, str]:
        whole = self._rates.generations
        filled = round(_BAR * self._done / max(whole, 1))
        bar = f"{self._phase} {'█' * filled}{'░' * (_BAR - filled)} {self._done}/{whole}"
        text = "\n".join([*self._said, bar, self._words])
        return {"text/plain": text, "text/html": f"<pre>{html.escape(text)}</pre>"}


def fitting(rates: Rates, stack: ExitStack) -> Watcher:
    """Return the display that fits where this process runs; `stack` closes it."""
    if "ipykernel" in sys.modules:  # a notebook's process, and no other, has it
        return Notebook(rates)
    return Terminal(rates, stack) if sys.stderr.isatty() else Lines(rates)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
