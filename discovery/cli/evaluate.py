"""`discovery evaluate` and `discovery tune`: what objectives are worth, each with a fair chance."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from discovery.cli.invocation import typed
from discovery.cli.output import JSON, show_json, show_table
from mpo.errors import RequestError

if TYPE_CHECKING:
    from discovery.config import Config
    from discovery.evidence import Tuned
    from mpo.train import Algorithm

PRESET = typer.Option(
    None, help="The situation of a preset, or of a TOML or JSON file, in place of --task."
)
TASK = typer.Option(None, help="The task: trained as in its small preset.")
DATASET = typer.Option(None, help="What is wrong with the data: see `discovery list`.")
LEVEL = typer.Option(None, help="Level of the reference agent, such as 1200.")
OBJECTIVES = typer.Option(
    [], "--objective", help="A name, a run's folder or found/…; repeat. The first is compared with."
)
SET = typer.Option([], "--set", help="A setting of the situation, such as data.rows=512; repeat.")
SEED = typer.Option(0, help="Seed of it all.")


def evaluate(
    objective: list[str] = OBJECTIVES,
    task: str | None = TASK,
    dataset: str | None = DATASET,
    level: str | None = LEVEL,
    preset: str | None = PRESET,
    set_: list[str] = SET,
    seeds: int = typer.Option(25, help="Agents for each objective."),
    episodes: int = typer.Option(100, help="Episodes that measure each agent."),
    action: str = typer.Option(
        "both", help="What agents do when measured: sampled, mean, or both where they can."
    ),
    draws: int = typer.Option(
        1, help="Datasets, each of another seed, that all of them train on; 95 % is over these."
    ),
    tuned: Path | None = typer.Option(None, help="What `discovery tune` wrote."),
    seed: int = SEED,
    out: Path | None = typer.Option(
        None, help="Folder for every return; the same command continues what is there."
    ),
    as_json: bool = JSON,
) -> None:
    """Train agents under several objectives over the same seeds, and compare their true returns.

    Seeds, data and initialisations are none that a discovery or a tuning ever sees.

    Agents of one dataset share its luck. With --draws the same seeds are trained on several, and
    errors, intervals and tests are over datasets: Student's, or from 16 draws on a bootstrap of
    datasets and of the agents in each.

    Example: discovery evaluate --task hopper --dataset shuffled --objective orpo
    --objective runs/quick --seeds 8 --draws 4
    """
    _start()
    described = asked_situation(task, dataset, level, preset, set_, seed)
    contestants, notes = _contestants(objective, tuned, described)
    if seeds < 2:
        raise RequestError(f"seeds is {seeds}: a standard error needs at least 2")
    if episodes < 1:
        raise RequestError(f"episodes is {episodes}: it must be at least 1")
    from discovery.evidence.evaluation import Evaluation, run
    from discovery.search import cohort, situation

    cohort.actions(situation.task_of(described), action)
    asked = Evaluation(described, contestants, seeds, episodes, typed(), notes, action, draws)
    asked.drawn()
    table = run(asked, out, _say)
    if as_json:
        resampled = {"resampled": table.resampled}
        show_json({"command": asked.command, **resampled, **table.as_json()})
        return
    show_table("", table.columns(), table.cells())
    if draws > 1:
        print(f"\nErrors, intervals and tests are over {draws} datasets, {seeds} agents on each.")
    if out is not None:
        print(f"\nEvery return: {out / 'returns.csv'}{', returns-1.csv, …' if draws > 1 else ''}")


def tune(
    objective: list[str] = OBJECTIVES,
    task: str | None = TASK,
    dataset: str | None = DATASET,
    level: str | None = LEVEL,
    preset: str | None = PRESET,
    set_: list[str] = SET,
    seeds: int = typer.Option(3, help="Agents for each point."),
    episodes: int = typer.Option(32, help="Episodes that measure each agent."),
    action: str = typer.Option("sampled", help="What agents do when measured: sampled or mean."),
    seed: int = SEED,
    out: Path = typer.Option(help="File to write, for `discovery evaluate --tuned`."),
    as_json: bool = JSON,
) -> None:
    """Give objectives their own learning rate and settings, on data and seeds set aside for it.

    24 points of every objective, whatever it has of settings: as it stands, and a Sobol sequence
    over learning rates 0.05 to 5 times the situation's and over the objective's own numbers (λ of
    ORPO, β of DPO, …). The best four are measured again by twice as many fresh agents, and the
    best of those is taken. The file keeps every point. Objectives found already in it are left as
    they are.

    Example: discovery tune --task hopper --dataset shuffled --objective orpo --out tuned.json
    """
    _start()
    described = asked_situation(task, dataset, level, preset, set_, seed)
    _contestants(objective, None, described)
    if seeds < 1 or episodes < 1:
        raise RequestError("seeds and episodes must be at least 1")
    from discovery.evidence.tuned_file import tuned_into
    from discovery.search import cohort, situation

    if len(cohort.actions(situation.task_of(described), action)) != 1:
        raise RequestError("settings are tuned by one action: sampled or mean")
    found = tuned_into(out, described, objective, seeds, episodes, _say, action)
    if as_json:
        show_json({name: one.as_json() for name, one in found.items()})
        return
    rows = [
        (
            name,
            ", ".join(f"{key} {value:g}" for key, value in one.settings.items()),
            f"{one.learning_rate:g}",
            str(one.mean),
            str(one.tried),
            ", ".join(one.ends),
        )
        for name, one in found.items()
    ]
    columns = ("objective", "settings", "learning rate", "mean return", "tried", "at an end")
    show_table("", columns, rows)


def asked_situation(
    task: str | None,
    dataset: str | None,
    level: str | None,
    preset: str | None,
    settings: list[str],
    seed: int,
) -> "Config":
    """Return the description whose task, data and training are meant."""
    from discovery import config, plugins
    from discovery.config.scales import scale
    from discovery.search import situation

    if (task is None) == (preset is None):
        raise RequestError("give either --task NAME or --preset NAME: see `discovery list`")
    small = scale("small")
    base = config.named(preset) if preset else config.from_json(small.described(str(task)))
    changes: dict[str, Any] = {"seed": seed}
    if dataset is not None:
        changes["data.kind"] = dataset
    if level is not None:
        changes["data.reference"] = level
    changes |= dict(config.setting(text) for text in settings)
    described = config.changed(base, changes)
    plugins.load(described.plugins)
    situation.check(described)
    return described


def _contestants(
    names: list[str], tuned: Path | None, described: "Config"
) -> "tuple[dict[str, Algorithm], dict[str, str]]":
    from discovery.evidence import contestants
    from discovery.evidence.tuned_file import read_tuned

    if not names:
        raise RequestError("no objective was given: repeat --objective, such as --objective orpo")
    if len(set(names)) != len(names):
        raise RequestError("an objective was given twice")
    known: Mapping[str, Tuned] = {}
    said = "tuned"
    if tuned is not None:
        file = read_tuned(tuned)
        known = file.objectives
        if elsewhere := file.elsewhere(described):
            said = "tuned elsewhere"
            _say(f"{tuned} was tuned in another situation: {'; '.join(elsewhere)}")
    notes = {name: said for name in names if name in known}
    return contestants(names, described, known), notes


def _start() -> None:
    """Settle the devices, before an objective is made: its arrays are on one."""
    from discovery.host import startup

    startup.host_devices()
    startup.compilation_cache()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
