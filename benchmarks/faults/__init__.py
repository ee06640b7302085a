"""Faults done to the public doors, and what came of each: `python docs/reliability.py`."""
