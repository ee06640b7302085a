"""The anchor of a situation, and a wide loss of another task with this one's in its place."""

import dataclasses

import mpo
from discovery.config import Config
from discovery.evidence import stage
from discovery.search.situation import Situation
from discovery.search.streams import Purpose
from mpo.artifact import Artifact
from mpo.errors import RequestError
from mpo.objectives import Wide
from mpo.train.anchor import Anchor, anchor

UNANCHORED = (0.0, 1.0)
"""Anchor and spread of a loss that sees log π as it is."""


def anchored(config: Config, ground: Situation, quantile: float) -> Anchor:
    """Return the anchor of the first dataset, and of an agent after an SFT of it.

    Args:
      config: the description of the situation.
      ground: the situation, prepared for discovery; its own stage, if it has one, is that SFT.
      quantile: share of the chosen responses that are below the anchor.
    """
    source = ground.sources[0]
    if source is None:
        raise RequestError("an anchor is of a dataset, and agents here see none")
    if ground.stages:
        agent = ground.stages[0]
    else:
        rate = stage.rate(config).learning_rate
        agent = stage.agent(ground, rate, Purpose.DISCOVERY, config.seed, 0)
    return anchor(source, ground.task.policy, agent, quantile)


def check(found: Artifact) -> None:
    """Refuse a loss that has no anchor.

    Raises:
      RequestError: it is of another family, or was found without one.
    """
    if not isinstance(found.objective, Wide):
        raise RequestError(
            f"objective {found.objective.name!r} has no anchor: only the wide family has one "
            "(family.objective='wide')"
        )
    if (float(found.objective.anchor), float(found.objective.spread)) == UNANCHORED:
        raise RequestError(
            f"objective {found.objective.name!r} was found without an anchor, so it cannot take "
            "another task's: search with family.anchor"
        )


def moved(found: Artifact, here: Anchor, task: str) -> Artifact:
    """Return a wide loss with the anchor of another task, and a note of where it was anchored.

    Raises:
      RequestError: the loss has no anchor.
    """
    check(found)
    assert isinstance(found.objective, Wide)
    about = found.provenance
    note = {"anchored": {"task": task, **here._asdict()}}
    return Artifact(
        dataclasses.replace(found.objective, **here._asdict()),
        mpo.Provenance(**{**vars(about), "extra": {**about.extra, **note}}),
    )
