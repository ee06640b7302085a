"""From a request to the page, the figures and the numbers of a table or figure."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from discovery import report
from discovery.paper import figure, table
from discovery.paper.exhibit import Row
from discovery.paper.request import Made, Request, check_place
from mpo import treefile
from mpo.claim import LOCK, waited_for
from mpo.log import Say


@dataclass(frozen=True)
class Shape:
    """How exhibits of a shape are made.

    Attributes:
      measure: called with request, row, folder and `say`; does the work of a row, unless it is
        done already.
      show: called with request and folder; returns the whole exhibit as far as it is known.
      least_seeds: the least number of agents for each objective.
    """

    measure: Callable[[Request, Row, Path, Say], None]
    show: Callable[[Request, Path], Made]
    least_seeds: int


SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        "table": Shape(table.measure, table.show, least_seeds=2),
        "figure": Shape(figure.measure, figure.show, least_seeds=1),
    }
)


def make(request: Request, out: Path, say: Say = lambda text: None) -> list[Path]:
    """Make a table or figure in the folder `out`, and return where its pages are.

    Called again, it goes on where it was interrupted, and adds rows, seeds or objectives. The
    pages are written anew after every row.

    Raises:
      RequestError: a row cannot be made, or its folder holds something else.
      Interrupted: the process was asked to stop; everything that was done is kept.
    """
    shape = SHAPES[request.exhibit.shape]
    request.check(shape.least_seeds, say)
    check_place(out)
    pages = [out / f"{request.exhibit.name}{ending}" for ending in (".md", ".html")]
    for row in request.rows:
        shape.measure(request, row, out, say)
        with waited_for(out / LOCK):  # another process may make other rows
            made = shape.show(request, out)
            for path in pages:
                report.put(made.page, path)
            content = {"command": request.command, "scale": request.scale, "rows": made.rows}
            treefile.replace(out / "results.json", (json.dumps(content, indent=2) + "\n").encode())
    return pages
