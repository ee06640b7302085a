"""Closed forms: short formulas that pull and push as a discovered objective does.

front = fit("runs/quick")                  # of a run, whose trajectory was recorded
front = fit(objective, trajectory, terms=3)
front["closed_form_2"].objective()         # an objective like any other
"""

from discovery.closed_form.fitting import Front, fit
from discovery.closed_form.point import PAPER, Point, Term

__all__ = ["PAPER", "Front", "Point", "Term", "fit"]
