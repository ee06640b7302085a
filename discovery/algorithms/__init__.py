"""Algorithms by name, and the training of one agent by one of them."""

from discovery.algorithms.named import Named, described, named, names
from discovery.algorithms.training import Outcome, carry_out

__all__ = ["Named", "Outcome", "carry_out", "described", "named", "names"]
