"""`discovery anchor`: the constant of a task that log π is taken from, and a loss moved there."""

from pathlib import Path

import typer

from discovery.cli.evaluate import DATASET, LEVEL, PRESET, SEED, SET, TASK, asked_situation
from discovery.cli.output import JSON, show_json
from mpo.errors import RequestError


def anchor(
    objective: str | None = typer.Option(None, help="A run or found loss of the wide family."),
    task: str | None = TASK,
    dataset: str | None = DATASET,
    level: str | None = LEVEL,
    preset: str | None = PRESET,
    set_: list[str] = SET,
    quantile: float = typer.Option(0.95, help="Share of the chosen responses below the anchor."),
    seed: int = SEED,
    out: Path | None = typer.Option(None, help="Write the loss here, with this task's anchor."),
    as_json: bool = JSON,
) -> None:
    """Say where the chosen responses of a task lie in log π, after an SFT; take a loss there.

    A loss that bends anywhere means something else on a task with other densities. One of the
    wide family sees log π less its anchor: given that of another task, it bends in the same place.

    Example: discovery anchor --preset hopper-small --objective runs/wide --out wide-on-hopper
    """
    if (objective is None) != (out is None):
        raise RequestError("give --objective and --out together: the loss, and where it goes")
    from discovery.host import startup

    startup.host_devices()
    startup.compilation_cache()
    import mpo
    from discovery.evidence import anchoring, stage
    from discovery.host.processes import all_devices
    from discovery.search.streams import Purpose
    from mpo.train.anchor import check

    described = asked_situation(task, dataset, level, preset, set_, seed)
    found = None if objective is None else mpo.find(objective)
    check(quantile)  # here, too, before anything is trained
    if found is not None:
        anchoring.check(found)
    ground = stage.prepare(described, Purpose.DISCOVERY, all_devices())
    here = anchoring.anchored(described, ground, quantile)
    if found is not None:
        moved = anchoring.moved(found, here, described.task.name)
        mpo.save(moved.objective, str(out), moved.provenance)
    if as_json:
        show_json(here._asdict())
        return
    print(f"anchor {here.anchor:.4g} (log π of a step), spread {here.spread:g} (entries of it)")
    if out is not None:
        print(f"In Python: mpo.objective({str(out)!r})")
