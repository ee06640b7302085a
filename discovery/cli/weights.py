"""`discovery weights`: paths of the weights of policies and reward models."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from discovery.cli.invocation import typed
from discovery.cli.output import JSON, show_json, show_table

if TYPE_CHECKING:
    from discovery.weights import Findings, Measured, Measures

LABELS = {
    "next_step": "cosine to the next step",
    "next_step_in_order": "the same",
    "first_component": "share of PC1",
    "angle": "angle of steps, °",
    "angle_farthest": "farthest from 90°, °",
    "angle_after": "angle to the step before, °",
    "pearson": "Pearson",
    "procrustes": "Procrustes",
    "entry_correlation": "distance correlation",
}


def weights(
    folders: list[Path] = typer.Argument(
        help="A path of weights: a folder of NUMBER.npz files, as `discovery train --out RUN` "
        "writes to RUN/policy, or of checkpoint-NUMBER folders, as transformers and PEFT do. Give "
        "two, a policy's and then its reward model's, to compare them."
    ),
    out: Path | None = typer.Option(
        None, help="Folder for results.json, with every number, and weights.png."
    ),
    view: str = typer.Option(
        "pca", help="How the picture is made: pca; tsne and umap need the [weights] extra."
    ),
    layers: bool = typer.Option(True, help="Measure each leaf, too."),
    as_json: bool = JSON,
) -> None:
    """Say how the weights of a training move, and how those of two trainings move together.

    Each number stands beside its null, what chance alone gives: entries of steps with random signs,
    random walks, or steps in random order. |z| below 2 is no finding. Models of any size will do:
    of T checkpoints only T × T numbers are held.

    Example: discovery weights runs/rloo/policy runs/rloo/reward --out runs/weights
    """
    import json

    from discovery.weights import analyse, draw, picture
    from mpo.errors import place_to_write
    from mpo.log import strict

    picture.check(view)
    findings = analyse(folders, layers)
    results = strict(findings.as_json())
    if out is not None:
        with place_to_write(out):
            draw(findings, out / "weights.png", view, typed() or "")
            text = json.dumps(results, indent=1, allow_nan=False)
            (out / "results.json").write_text(text + "\n")
    if as_json:
        show_json(results)
        return
    _print(findings)
    if out is not None:
        print(f"\n{out / 'results.json'}\n{out / 'weights.png'}")


def _print(findings: "Findings") -> None:
    numbers, whole = findings.numbers, findings.whole
    print(
        f"{len(numbers)} checkpoints, {numbers[0]} to {numbers[-1]}, of {whole.weights:,} weights"
    )
    if findings.left_out:
        print(f"not in both, and left out: {', '.join(findings.left_out)}")
    if findings.still:
        print(f"without movement: {', '.join(findings.still)}")
    labels = [str(folder) for folder in findings.folders]
    rows = [
        (label, *_row(name, found))
        for label, path in zip(labels, whole.paths, strict=True)
        for name, found in path.items()
    ]
    rows += [("both", *_row(name, found)) for name, found in whole.between.items()]
    show_table("", ("of", "measure", "value", "by chance", "z", "p", "of what chance"), rows)
    for at, label in enumerate(labels if findings.layers else ()):
        by_layer = [_of_path(name, one, at, whole) for name, one in findings.layers.items()]
        print()
        columns = ("leaf", "weights", "of the way", "to next", "z", "PC1", "z")
        show_table(f"By layer: {label}", columns, by_layer)
    if findings.layers and whole.between:
        both = [(name, *_of_both(one)) for name, one in findings.layers.items()]
        print()
        columns = ("leaf", "angle, °", "z", "Pearson", "z", "Procrustes", "z")
        show_table("By layer: both", columns, both)


def _row(name: str, found: "Measured") -> tuple[str, ...]:
    null = f"{found.null:.3g} ± {found.spread:.1g}"
    return LABELS[name], f"{found.value:.4g}", null, f"{found.z:+.1f}", f"{found.p:.2g}", found.by


def _of_path(name: str, one: "Measures", at: int, whole: "Measures") -> tuple[str, ...]:
    share = one.moved[at] / whole.moved[at]
    shown = [one.paths[at][measure] for measure in ("next_step", "first_component")]
    return name, f"{one.weights:,}", f"{share:.1%}", *_pairs(shown)


def _of_both(one: "Measures") -> tuple[str, ...]:
    return _pairs([one.between[measure] for measure in ("angle", "pearson", "procrustes")])


def _pairs(found: "list[Measured]") -> tuple[str, ...]:
    return tuple(text for one in found for text in (f"{one.value:.3g}", f"{one.z:+.1f}"))
