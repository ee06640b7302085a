"""Paths of the weights of policies and reward models: what they look like, and against what chance.

findings = analyse([Path("policy"), Path("reward")])
findings.whole.between["angle"]  # a Measured: value, null, spread, z, p
"""

from discovery.weights.checkpoints import save
from discovery.weights.findings import Findings, Measures, analyse
from discovery.weights.measures import Measured
from discovery.weights.picture import draw

__all__ = ["Findings", "Measured", "Measures", "analyse", "draw", "save"]
