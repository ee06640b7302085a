"""`discovery agents`: train, list and watch the reference agents."""

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from discovery.cli.output import JSON, show_json, show_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from envs.agents import Provenance
    from envs.ppo import Line, Settings

app = typer.Typer(
    help="Reference agents: policies of known skill, whose behaviour is compared.",
    no_args_is_help=True,
)


@app.command()
def train(
    task: Annotated[str, typer.Option(help="The task: hopper, ant or three_legged_ant.")],
    target_return: Annotated[
        list[float], typer.Option(help="A level of skill, as mean return; repeat for several.")
    ],
    out: Annotated[
        Path, typer.Option(help="Folder to write to; the same command continues what is there.")
    ],
    seed: Annotated[int, typer.Option(help="Seed of the training.")] = 0,
    steps: Annotated[
        int | None, typer.Option(help="Environment steps at most.", show_default="by task")
    ] = None,
    backend: Annotated[str, typer.Option(help="brax physics backend.")] = "spring",
    start_from: Annotated[
        str | None, typer.Option(help="A shipped agent to start from, such as ant/expert.")
    ] = None,
    episodes: Annotated[
        int, typer.Option(help="Episodes that measure each agent in the end.")
    ] = 128,
    as_json: bool = JSON,
) -> None:
    """Train until every level of skill was passed, and keep the agent nearest to each."""
    from envs.agents import training

    request = training.Request(
        task=task,
        targets=tuple(sorted(target_return)),
        folder=out,
        settings=_settings(task, steps),
        seed=seed,
        backend=backend,
        start_from=start_from,
        episodes=episodes,
    )
    with _progress(request.settings.steps) as report:
        outcome = training.train(request, report)
    _print({str(out / f"{task}-{t:g}"): p for t, p in outcome.agents.items()}, as_json)
    if outcome.missed:
        missed = ", ".join(f"{target:g}" for target in outcome.missed)
        raise RuntimeError(
            f"not reached: {missed} (best {outcome.best:,.0f}); the nearest agents were kept, "
            "try more --steps or another --seed in another folder"
        )


@app.command()
def show(
    folder: Annotated[
        Path | None, typer.Argument(help="A folder of agents.", show_default="those that ship")
    ] = None,
    as_json: bool = JSON,
) -> None:
    """List the agents that ship with the package, or those in a folder."""
    from envs import agents
    from mpo.errors import RequestError

    if folder is not None and not folder.is_dir():
        raise RequestError(f"{folder} is no folder: give one that holds agents, or none")
    _print(agents.listing(folder), as_json)


@app.command()
def view(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Shipped agents (hopper/900), or others' paths: side by side."),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="What to write: x.html (interactive), x.gif, x.png.")
    ] = Path("agents.html"),
    objective: Annotated[
        list[str] | None,
        typer.Option(help="A loss that an agent is trained by first, to be seen; repeat."),
    ] = None,
    preset: Annotated[
        str, typer.Option(help="The situation that these are trained in.")
    ] = "hopper-small",
    task: Annotated[
        str | None, typer.Option(help="Where to act.", show_default="where it was trained")
    ] = None,
    steps: Annotated[int, typer.Option(help="Steps to show.")] = 300,
    frames: Annotated[int, typer.Option(help="Pictures in a .png strip.")] = 8,
    seed: Annotated[int, typer.Option(help="Seed of the episode, and of a training.")] = 0,
) -> None:
    """Let agents act, and write what they do as a page, an animation or strips of pictures.

    A page is one file, and needs no network.

    Example: discovery agents view --objective orpo --objective found/hopper-shuffled
    """
    from discovery.host import startup
    from envs import agents
    from envs import picture as view
    from mpo.errors import RequestError

    startup.compilation_cache()
    shown, places, words = {}, {}, []
    for name in names or ():
        own = name not in agents.names() and Path(name + ".json").exists()
        agent = agents.read(Path(name)) if own else agents.load(name)
        shown[name] = agent.params
        places[name] = (agent.provenance.task, agent.provenance.backend)
        words.append(f"{name}, {agent.provenance.measured} in {agent.provenance.task}")
    if objective:
        trained, place = _trained(objective, preset, seed)
        shown |= trained
        places |= dict.fromkeys(trained, place)
        words += [f"{name}, trained as in {preset}" for name in trained]
    if not shown:
        raise RequestError("nobody to be seen: give a name, or --objective")
    if len(set(places.values())) > 1:
        told = ", ".join(f"{name} ({where} by {how})" for name, (where, how) in places.items())
        raise RequestError(f"agents of one task and backend can be side by side, not {told}")
    where, backend = next(iter(places.values()))
    if out.suffix in view.WRITERS and min(steps, frames) > 0:  # else it refuses, in one line
        typer.echo(f"{where}: {', '.join(shown)}", err=True)
    view.write(out, task or where, backend, shown, steps, frames, seed)
    typer.echo("\n".join([f"{out}:", *words] if len(words) > 1 else [f"{out}: {words[0]}"]))


def _trained(
    objectives: list[str], preset: str, seed: int
) -> "tuple[dict[str, Any], tuple[str, str]]":
    """Return an agent of every loss, and the task and backend they are of."""
    import discovery
    from envs.physics import PhysicsTask
    from mpo.errors import RequestError

    discovery.start()
    ground = discovery.prepare(discovery.describe(preset))
    if not isinstance(ground.task, PhysicsTask):
        raise RequestError(f"{preset} has no body to be seen: choose a preset of a physics task")
    params = {name: discovery.train(name, ground, seed)[0] for name in objectives}
    return params, (ground.task.name, ground.task.backend)


def _settings(task: str, steps: int | None) -> "Settings":
    import dataclasses

    from envs.ppo import preset

    usual = preset(task)
    return usual if steps is None else dataclasses.replace(usual, steps=steps)


def _print(listing: "dict[str, Provenance]", as_json: bool) -> None:
    import dataclasses

    if as_json:
        show_json({name: dataclasses.asdict(about) for name, about in listing.items()})
        return
    columns = ("agent", "level", "return", "episodes", "trained for", "elsewhere")
    rows = [
        (
            name,
            f"{about.target:g}",
            str(about.measured),
            str(about.measured.episodes),
            f"{about.steps / 1e6:.1f}M steps" if about.steps >= 1e5 else f"{about.steps:,} steps",
            ", ".join(f"{found} in {task}" for task, found in about.elsewhere.items()),
        )
        for name, about in listing.items()
    ]
    show_table("Agents: mean return ± standard error, actions sampled", columns, rows)


@contextmanager
def _progress(total: int) -> "Iterator[Callable[[Line], None]]":
    """Show a bar on a terminal, and a line a chunk elsewhere; both on stderr."""
    if not sys.stderr.isatty():
        yield lambda line: print(_words(line, total), file=sys.stderr, flush=True)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns: tuple[Any, ...] = (
        BarColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        row = bar.add_task("compiling", total=total)
        yield lambda line: bar.update(row, completed=line["steps"], description=_words(line, total))


def _words(line: "Line", total: int) -> str:
    return (
        f"{line['steps'] / 1e6:.1f}M of {total / 1e6:.1f}M steps: return {line['return']:,.0f} "
        f"± {line['standard_error']:,.0f}, {line['steps_per_second']:,} steps/s"
    )
