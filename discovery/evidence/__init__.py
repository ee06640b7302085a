"""What objectives are worth: agents over many seeds, tables, and a fair chance for each.

returns = evaluate({"orpo": mpo.objective("orpo")}, situation, key, range(25), episodes=100)
print(Table.of(returns).markdown())
"""

from discovery.evidence.contest import evaluate
from discovery.evidence.returns import Returns, Store
from discovery.evidence.table import Row, Table
from discovery.evidence.tuning import Tuned, contestants, tune

__all__ = [
    "Returns",
    "Row",
    "Store",
    "Table",
    "Tuned",
    "contestants",
    "evaluate",
    "tune",
]
