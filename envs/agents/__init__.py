"""Reference agents: trained policies of known skill, whose behaviour is compared.

>>> from envs import agents
>>> agents.load("hopper/900").provenance.task
'hopper'
"""

from envs.agents.agent import Agent, Measurement, Provenance, measure
from envs.agents.catalogue import ALIASES, file_name, listing, load, names, provenance
from envs.agents.files import DamagedAgent, read, read_provenance, write

__all__ = [
    "ALIASES",
    "Agent",
    "DamagedAgent",
    "Measurement",
    "Provenance",
    "file_name",
    "listing",
    "load",
    "measure",
    "names",
    "provenance",
    "read",
    "read_provenance",
    "write",
]
