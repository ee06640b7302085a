"""What objectives are worth: agents over many seeds, tables, and a fair chance for each.

returns = evaluate(contestants, situation, key, seeds=range(25), episodes=100)
print(Table.of(returns).markdown())
"""

from discovery.evaluation.contest import Contestant, evaluate
from discovery.evaluation.returns import Returns, Store
from discovery.evaluation.table import Row, Table
from discovery.evaluation.tuning import GRIDS, Tuned, contestants, tune

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
