"""What objectives are worth: agents over many seeds, tables, and a fair chance for each.

returns = evaluate(contestants, situation, key, seeds=range(25), episodes=100)
print(Table.of(returns).markdown())
"""

from discovery.evidence.contest import Contestant, evaluate
from discovery.evidence.returns import Returns, Store
from discovery.evidence.table import Row, Table
from discovery.evidence.tuning import GRIDS, Tuned, contestants, tune

__all__ = [
    "GRIDS",
    "Contestant",
    "Returns",
    "Row",
    "Store",
    "Table",
    "Tuned",
    "contestants",
    "evaluate",
    "tune",
]
