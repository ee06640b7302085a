"""The tables and figures of the mirror-preference paper: data, and one way to make them all.

exhibit("table-1").rows[0].config(scale("small"), {})      # a situation like any other
make(Request(exhibit("table-1"), scale="small"), Path("runs/table-1-small"))
"""

from discovery.paper.exhibit import Exhibit, Row, exhibit, exhibits
from discovery.paper.making import make
from discovery.paper.request import Request

__all__ = ["Exhibit", "Request", "Row", "exhibit", "exhibits", "make"]
