"""Pictures of paths: positions in two dimensions, whole and by layer, beside a random walk.

Principal components are exact. t-SNE and UMAP keep neighbours, not lengths or angles: nothing is
to be measured in them. They are given all coordinates, so that nothing is lost before them.
"""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Float

from discovery.weights import measures
from discovery.weights.findings import Findings
from mpo.errors import RequestError, unknown

_LAYERS = 7
"""At most so many leaves are drawn, those that move most."""
_LONGEST = 34
"""Letters of a leaf's name that are shown, the last ones."""

Plane = Float[np.ndarray, "n 2"]


def pca(gram: Float[np.ndarray, "n n"]) -> Plane:
    """Return the first two principal components of points."""
    found = measures.factored(gram)[:, :2]
    return np.pad(found, ((0, 0), (0, 2 - found.shape[1])))


def tsne(gram: Float[np.ndarray, "n n"]) -> Plane:
    """Return t-SNE's places of points (scikit-learn)."""
    perplexity = min(30.0, (len(gram) - 1) / 3)
    fit = _extra("sklearn.manifold").TSNE(perplexity=perplexity, init="random", random_state=0)
    return np.asarray(fit.fit_transform(measures.factored(gram)), np.float64)


def umap(gram: Float[np.ndarray, "n n"]) -> Plane:
    """Return UMAP's places of points (umap-learn)."""
    neighbours = min(15, len(gram) - 1)
    fit = _extra("umap").UMAP(n_neighbors=neighbours, init="random", random_state=0, n_jobs=1)
    return np.asarray(fit.fit_transform(measures.factored(gram)), np.float64)


VIEWS: Mapping[str, Callable[[Float[np.ndarray, "n n"]], Plane]] = MappingProxyType(
    {"pca": pca, "tsne": tsne, "umap": umap}
)
_MODULES = {"tsne": "sklearn.manifold", "umap": "umap"}
"""What a view needs beside the package's own dependencies."""


def check(view: str) -> None:
    """Refuse a view that there is not, or whose package is not installed."""
    if view not in VIEWS:
        raise unknown("view", view, VIEWS)
    if view in _MODULES:
        _extra(_MODULES[view])


def draw(findings: Findings, path: Path, view: str = "pca", caption: str = "") -> None:
    """Draw the paths in two dimensions: all weights, a random walk, and the leaves that move most.

    A circle is the start of a path and a cross its end. In each panel both paths begin at one
    point. Above stands the share of the first principal component of each path, and of walks.

    Args:
      findings: what was found.
      path: the picture to write.
      view: how positions come into a plane: a name of `VIEWS`.
      caption: the command that made the numbers.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    check(view)
    whole = findings.whole
    moved = {
        name: sum(np.divide(one.moved, whole.moved).tolist())
        for name, one in findings.layers.items()
    }
    names = sorted(moved, key=lambda name: -moved[name])[:_LAYERS]
    panels = 2 + len(names)
    columns = min(panels, 3)
    rows = -(-panels // columns)
    figure = Figure(figsize=(3.4 * columns, 3.2 * rows + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    every = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in every[panels:]:
        axes.set_axis_off()
    count = len(findings.folders)
    _panel(every[0], findings.grams[""], view, ("C0", "C1"))
    every[0].set_title(_titled(f"all {whole.weights:,} weights", whole.paths), fontsize=9)
    _panel(every[1], _walks(count, len(findings.numbers)), view, ("0.3", "0.6"))
    every[1].set_title("random walks" if count > 1 else "a random walk", fontsize=9)
    for axes, name in zip(every[2:], names, strict=False):
        _panel(axes, findings.grams[name], view, ("C0", "C1"))
        axes.set_title(_titled(name[-_LONGEST:], findings.layers[name].paths), fontsize=9)
    for colour, label in zip(("C0", "C1"), _labels(findings.folders), strict=False):
        every[0].plot([], [], color=colour, label=label)
    every[0].plot([], [], "o", color="0.3", markerfacecolor="none", label="start")
    every[0].plot([], [], "X", color="0.3", label="end")
    figure.legend(fontsize=8, frameon=False, loc="outside lower center", ncols=4)
    figure.suptitle(caption, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def _labels(folders: tuple[Path, ...]) -> list[str]:
    """Return the last names of the folders, or all of their names where those are the same."""
    names = [folder.name for folder in folders]
    return names if len({*names}) == len(names) else [str(folder) for folder in folders]


def _titled(head: str, paths: tuple[dict[str, measures.Measured], ...]) -> str:
    first = [own["first_component"] for own in paths]
    shown = " and ".join(f"{one.value:.0%}" for one in first)
    return f"{head}\nPC1 {shown}, walks {first[0].null:.0%} ± {first[0].spread:.1%}"


def _panel(
    axes: Any, gram: Float[np.ndarray, "P T P T"], view: str, colours: tuple[str, ...]
) -> None:
    paths, moments = gram.shape[:2]
    places = VIEWS[view](gram.reshape(paths * moments, -1)).reshape(paths, moments, 2)
    for (x, y), colour in zip(np.moveaxis(places, 2, 1), colours, strict=False):
        axes.plot(x, y, ".-", color=colour, markersize=3, linewidth=0.8)
        axes.plot(x[0], y[0], "o", color=colour, markerfacecolor="none", markersize=9)
        axes.plot(x[-1], y[-1], "X", color=colour, markersize=8)
    axes.set(xticks=[], yticks=[])
    if view == "pca":
        axes.set_aspect("equal", adjustable="datalim")


def _walks(paths: int, moments: int) -> Float[np.ndarray, "P T P T"]:
    """Return the inner products of random walks in so many dimensions that they never meet."""
    rng = np.random.default_rng(0)
    gram = np.zeros((paths, moments, paths, moments))
    for path in range(paths):
        gram[path, :, path] = measures.walk(rng, moments, 100 * moments)
    return gram


def _extra(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise RequestError(
            f"no module {module!r}, which this view needs: pip install "
            "'preference-discovery[weights]'"
        ) from error
