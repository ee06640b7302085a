"""The leaderboard's faults as a domain of DiscoGen, which makes tasks for writers of algorithms.

A domain is a folder: what is fixed, what is to be written (`edit`) and what stands in its place
where it is not (`base`), problems, and what is said of all that. None of the sealed situations of
`discovery judge` is among the problems. https://github.com/AlexGoldie/discogen
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from discovery import config
from discovery.config.sections import FRESH, SFT, STANDARD
from discovery.leaderboard.board import Fault, Ground, board
from mpo import treefile

DOMAIN: Final = "PreferenceOptimization"
FOLDERS: Final = {
    "token_bandit": "TokenBandit", "hopper": "Hopper", "three_legged_ant": "ThreeLeggedAnt"
}  # fmt: skip
TRAIN, TEST, MODULES = "TokenBandit", "Hopper", ("loss", "hyper")
"""Folders whose problems an example trains and tests on, and what may be written."""

_BASELINES: Final = "baselines.json"
_ABOUT: Final = {
    "token_bandit": "Agents write sequences of tokens in answer to a context of one token, and are "
    "a table of logits or a small network. The return is the share of the best there is.",
    "hopper": "A one-legged robot of the brax simulator hops: 1,000 steps of three torques, seen "
    "by 11 numbers. The return is the forward speed and a bonus for not falling, summed; the "
    "agent is a Gaussian whose mean is a network. Comparisons are of whole episodes, or segments.",
    "three_legged_ant": "A robot that walks on four legs in the brax simulator has lost one, and "
    "the agent, which walks on four, is to learn it from comparisons. The return is the forward "
    "speed less costs, summed.",
}


@dataclass(frozen=True)
class Problem:
    """A task and what is wrong with its data.

    Attributes:
      name: of its folder, such as "Hopper/noisy-0.2".
      ground: the task.
      fault: what is wrong.
    """

    name: str
    ground: Ground
    fault: Fault

    def config(self) -> dict[str, Any]:
        """Return what `main.py` reads."""
        base = config.named(self.ground.preset)
        start = base.training.start
        quiet = {"spread": self.ground.spread} if self.fault.quiet else {}
        return {
            "preset": self.ground.preset,
            "settings": {
                "training.start": SFT if start == FRESH else f"{SFT}:{start}",
                "training.rewards": STANDARD,
            },
            "data": {**self.fault.data, **quiet},
            "learning_rate": base.training.hyper["learning_rate"],
            "draws": self.ground.draws,
            "agents_of_each_draw": 2,
            "episodes": self.ground.episodes,
        }

    def described(self) -> str:
        """Return what whoever writes the loss is told of it."""
        return f"{_ABOUT[self.ground.name]}\n\nWhat is wrong with the data: {self.fault.about}.\n"


def problems() -> Iterator[Problem]:
    """Yield every problem."""
    for ground in board().grounds:
        if ground.name in FOLDERS:
            for fault in board().of(ground)[1]:
                name = fault.name.replace(",", "").replace(" ", "-")
                yield Problem(f"{FOLDERS[ground.name]}/{name}", ground, fault)


def write(root: Path) -> Path:
    """Write the domain below a folder, as the package `discogen` has its own; return its folder."""
    domain = root / "domains" / DOMAIN
    for place, text in files().items():
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        treefile.replace(path, text.encode())
    return domain


def files() -> dict[str, str]:
    """Return the texts of all files of the domain, by their paths."""
    own = f"domains/{DOMAIN}"
    found = [*problems()]
    names = [one.name for one in found]
    texts = {
        f"{own}/task_config.yaml": _task_config(names, names, changes=False),
        f"example_configs/{DOMAIN}.yaml": _task_config(
            [name for name in names if name.startswith(TRAIN)],
            [name for name in names if name.startswith(TEST)],
            changes=True,
        ),
        f"{own}/templates/default/main.py": _held("main.py.txt"),
        f"{own}/utils/requirements.txt": "preference-discovery>=" + version("preference-discovery"),
        f"{own}/utils/_reference.txt": "- preference-discovery\n",
        f"{own}/utils/baseline_scores.yaml": _scores(baselines()),
    }
    for name in ("description.md", "task_information.yaml", "task_spec.yaml", "install.sh"):
        texts[f"{own}/utils/{name}"] = _held(name)
    for kind in ("base", "edit"):
        for module in MODULES:
            text = _held(f"{kind}_{module}.py.txt")
            texts[f"{own}/templates/default/{kind}/{module}.py"] = text
    for one in found:
        place = f"{own}/datasets/{one.name}"
        texts[f"{place}/config.py"] = f"config = {_python(one.config())}\n"
        texts[f"{place}/description.md"] = one.described()
    return texts


def baselines() -> dict[str, float]:
    """Return the mean return of the base loss, by problem, where `docs/discogen.py` measured it."""
    found: dict[str, float] = json.loads(_held(_BASELINES))
    return found


def _held(name: str) -> str:
    return resources.files("discovery.judging").joinpath("domain", name).read_text("utf-8")


def _task_config(train: list[str], test: list[str], changes: bool) -> str:
    lines = [
        f"train_task_id: [{', '.join(train)}]",
        f"test_task_id: [{', '.join(test)}]",
        "",
        f"source_path: task_src/{DOMAIN}",
        "template_backend: default",
        "",
        *(f"change_{name}: {str(changes and name == 'loss').lower()}" for name in MODULES),
    ]
    return "\n".join(lines) + "\n"


def _scores(held: Mapping[str, float]) -> str:
    lines = [f"    {name}: {score:.6g}" for name, score in held.items()]
    return "\n".join(["return_mean:", "  default:", *lines, "  objective: max"]) + "\n"


def _python(values: Mapping[str, Any]) -> str:
    lines = (f"    {name!r}: {value!r}," for name, value in values.items())
    return "\n".join(["{", *lines, "}"])
