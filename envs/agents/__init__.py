"""Reference agents: trained policies of known skill, whose behaviour is compared.

>>> from envs import agents
>>> agents.load("hopper/900").provenance.task
'hopper'

Those that ship were trained and measured on the `spring` backend; `discovery agents show` lists
their returns, and their JSON files hold everything else. A level is where the nearest snapshot of
a training was taken, so the measured return is near it and not at it. They are snapshots, at the
`steps` that their JSON files say, of the trainings

    discovery agents train --task hopper --seed 1 --out … \\
        --target-return 900 --target-return 1200 --target-return 1800
    discovery agents train --task hopper --seed 1 --out … \\
        --target-return 2100 --target-return 3000
    discovery agents train --task ant --out … \\
        --target-return 2000 --target-return 4000 --target-return 6000
    discovery agents train --task three_legged_ant --start-from ant/expert --out … \\
        --target-return 2500 --target-return 3900

The Ant's were picked by hand from that training; the command as it is now may keep others of it.
The paper's Ant earns 6,000, and 1,700 on three legs; its three-legged expert 3,900. The experts
here stop at those levels, where the physics allows more: the training of the Hopper's passes
2,900, an Ant 8,000 after 6 M steps.
"""

from envs.agents.agent import Agent, Measurement, Provenance, measure
from envs.agents.catalogue import (
    file_name,
    levels,
    listing,
    load,
    names,
    provenance,
    whole_name,
)
from envs.agents.files import DamagedAgent, read, read_provenance, write

__all__ = [
    "Agent",
    "DamagedAgent",
    "Measurement",
    "Provenance",
    "file_name",
    "levels",
    "listing",
    "load",
    "measure",
    "names",
    "provenance",
    "read",
    "read_provenance",
    "whole_name",
    "write",
]
