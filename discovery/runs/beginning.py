"""Where a search of the wide family begins: at a loss as it was tuned or found, and anchored."""

import dataclasses

from discovery.config import Config
from discovery.config.sections import TUNED, WIDE
from discovery.evidence import Tuned, contestants
from discovery.evidence.anchoring import anchored
from discovery.evidence.tuning import worth
from discovery.runs import finish
from discovery.runs.folder import Folder
from discovery.runs.watch import Watcher
from discovery.search.search import ORPO, searched
from discovery.search.situation import Situation
from mpo.errors import RequestError
from mpo.train import Algorithm


def beginning(
    config: Config, ground: Situation, folder: Folder, watcher: Watcher
) -> Algorithm | None:
    """Return the algorithm that a search starts from; `None` for that of its description alone.

    What was tuned is kept in `folder`, where the end of the run finds it.
    """
    family = config.family
    if family.objective != WIDE or (family.start is None and family.anchor is None):
        return None
    if family.start == TUNED and family.anchor is not None:
        raise RequestError(
            "family.start='tuned' is tuned without an anchor, and family.anchor would make it "
            "another loss: give one of them"
        )
    start, tuned = family.start or ORPO, dict[str, Tuned]()
    if start == TUNED:
        tuned = finish.tuned_against(config, watcher, folder)
        start = max(config.evaluation.against, key=lambda name: worth(tuned[name].mean))
        watcher.say(f"starting at {start}: {tuned[start].said()}")
    begun = contestants((start,), config, tuned)[start]
    objective = searched(family, begun.objective)
    if family.anchor is not None:
        watcher.phase("anchoring")
        here = anchored(config, ground, family.anchor)
        objective = dataclasses.replace(objective, **here._asdict())
    return ground.algorithm(dataclasses.replace(begun, objective=objective))
